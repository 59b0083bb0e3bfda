/* SPDX-License-Identifier: MIT */
/*
 * A vTPM backend: serves one frontend.  Everything about the transport is
 * here to be copied; the TPM at the top of the file is a stand-in.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "link.h"
#include "protocol.h"
#include "xenbus.h"

static struct link_place place;
static struct xenbus_dir frontend_dir, backend_dir;

/* What we hold of the frontend while connected; page NULL: not connected. */
static struct {
    uint8_t *page;
    uint32_t gref;
    uint32_t remote_port; /* the frontend's end of ours */
    uint32_t port;
} peer;

/* What our state node says. */
static enum xenbus_state shown;

/* ---- the TPM: put yours here ---- */

enum tpm_tag {
    TPM12_FIRST_REQUEST = 0x00C1,
    TPM12_LAST_REQUEST = 0x00C3,
    TPM12_RESPONSE = 0x00C4,
    TPM20_NO_SESSIONS = 0x8001,
    TPM20_SESSIONS = 0x8002,
};

enum tpm_code {
    TPM_SUCCESS = 0,
    TPM12_BAD_PARAM_SIZE = 0x19,
    TPM12_BAD_LOCALITY = 0x3d,
    TPM_BAD_TAG = 0x1E, /* the same in 1.2 and 2.0 */
    TPM20_COMMAND_SIZE = 0x142,
    TPM20_LOCALITY = 0x907,
    TPM20_COMMAND_CODE = 0x143,
    TPM20_GET_RANDOM = 0x17B,
};

#define RANDOM_MAX 64 /* most bytes in one response */

/* All functions that make a response return its length. */
static size_t tpm_error(uint16_t tag, uint32_t code, uint8_t *response)
{
    tpm_write_header(response, &(struct tpm_header){ tag, TPM_HEADER_SIZE, code });
    return TPM_HEADER_SIZE;
}

static size_t get_random(const uint8_t *request, size_t length, uint8_t *response)
{
    uint8_t *body = response + TPM_HEADER_SIZE;
    uint16_t count;

    if (length != TPM_HEADER_SIZE + 2)
        return tpm_error(TPM20_NO_SESSIONS, TPM20_COMMAND_SIZE, response);
    count = load_be16(request + TPM_HEADER_SIZE);
    if (count > RANDOM_MAX)
        count = RANDOM_MAX; /* a TPM may give fewer bytes than asked */
    if (getrandom(body + 2, count, 0) != count)
        count = 0;
    store_be16(body, count);
    length = TPM_HEADER_SIZE + 2 + (size_t)count;
    tpm_write_header(response,
                     &(struct tpm_header){ TPM20_NO_SESSIONS, (uint32_t)length, TPM_SUCCESS });
    return length;
}

/* Runs a well-formed request. */
static size_t execute(const uint8_t *request, size_t length, uint8_t *response)
{
    struct tpm_header header = tpm_read_header(request);

    if (header.tag != TPM20_NO_SESSIONS && header.tag != TPM20_SESSIONS)
        return tpm_error(TPM12_RESPONSE, TPM_BAD_TAG, response);
    if (header.tag == TPM20_NO_SESSIONS && header.code == TPM20_GET_RANDOM)
        return get_random(request, length, response);
    return tpm_error(TPM20_NO_SESSIONS, TPM20_COMMAND_CODE, response);
}

/* ---- the page ---- */

/* Answers a request whose length is not what it should be, in the words of its family. */
static size_t refuse_size(uint16_t tag, uint8_t *response)
{
    if (tag >= TPM12_FIRST_REQUEST && tag <= TPM12_LAST_REQUEST)
        return tpm_error(TPM12_RESPONSE, TPM12_BAD_PARAM_SIZE, response);
    return tpm_error(TPM20_NO_SESSIONS, TPM20_COMMAND_SIZE, response);
}

/* Nobody vouches for the frontend here, so it gets locality 0 and no other. */
static size_t refuse_locality(uint16_t tag, uint8_t *response)
{
    if (tag >= TPM12_FIRST_REQUEST && tag <= TPM12_LAST_REQUEST)
        return tpm_error(TPM12_RESPONSE, TPM12_BAD_LOCALITY, response);
    return tpm_error(TPM20_NO_SESSIONS, TPM20_LOCALITY, response);
}

static void answer_request(uint8_t *page)
{
    /* From here on only our copies count: the frontend may be hostile. */
    struct vtpm_header header = vtpm_sample_header(page);
    size_t room = vtpm_capacity(header.nr_extra_pages);
    size_t length = header.length <= room ? header.length : room;
    uint8_t request[VTPM_PAGE_SIZE];
    uint8_t response[TPM_HEADER_SIZE + 2 + RANDOM_MAX];

    vtpm_read_packet(page, header.nr_extra_pages, request, length);
    if (length < TPM_HEADER_SIZE || header.length > room ||
        tpm_read_header(request).size != length)
        length = refuse_size(length >= 2 ? load_be16(request) : 0, response);
    else if (header.locality != 0)
        length = refuse_locality(load_be16(request), response);
    else
        length = execute(request, length, response);

    /* A longer response than this one has to be checked against room. */
    vtpm_write_packet(page, header.nr_extra_pages, response, length);
    vtpm_store_state(page, VTPM_FINISH);
    link_notify(peer.port);
}

/* An event says no more than "look", so look, and act on nothing else. */
static void look_at_page(void)
{
    switch (vtpm_load_state(peer.page)) {
    case VTPM_SUBMIT:
        answer_request(peer.page);
        break;
    case VTPM_CANCEL:
        /* Requests run to their end above, so none is running now. */
        vtpm_store_state(peer.page, VTPM_IDLE);
        link_notify(peer.port);
        break;
    default:
        /* IDLE and FINISH: not our turn.  Anything else: not in the protocol. */
        break;
    }
}

/* ---- the connection ---- */

static void show(enum xenbus_state state)
{
    if (shown != state)
        xenbus_write_state(&backend_dir, state);
    shown = state;
}

/* Takes hold of the frontend's page and port; returns what is wrong with them, or NULL. */
static const char *take_hold(void)
{
    if (!xenbus_has_feature(&frontend_dir))
        return XENBUS_FEATURE " is not \"" XENBUS_FEATURE_VALUE "\"";
    if (!xenbus_read_number(&frontend_dir, "ring-ref", &peer.gref))
        return "ring-ref is not a plain decimal number";
    if (!xenbus_read_number(&frontend_dir, "event-channel", &peer.remote_port))
        return "event-channel is not a plain decimal number";
    peer.page = link_map_page(place.frontend, peer.gref);
    if (peer.page == NULL)
        return "ring-ref cannot be mapped";
    if (link_bind_port(place.frontend, peer.remote_port, &peer.port))
        return NULL;
    link_unmap_page(peer.page, peer.gref);
    peer.page = NULL;
    return "event-channel cannot be bound";
}

/*
 * The frontend is Connected already, so it has had another backend.  How far
 * that came with a request, nobody knows: half a response may lie over it.
 * And it may have died between its answer and the event.  What is in the page
 * before we are Connected was left; what comes later is new, and has its event.
 */
static void take_over(void)
{
    uint8_t state = vtpm_load_state(peer.page);

    show(XENBUS_CONNECTED);
    if (state == VTPM_SUBMIT || state == VTPM_CANCEL)
        vtpm_store_state(peer.page, VTPM_IDLE);
    link_notify(peer.port);
}

static void connect_frontend(bool connected_already)
{
    const char *wrong;

    show(XENBUS_INIT_WAIT); /* it is Closed if the last try went wrong */
    wrong = take_hold();
    if (wrong != NULL) {
        fprintf(stderr, "backend: cannot connect to %s: %s\n", frontend_dir.path, wrong);
        show(XENBUS_CLOSED);
        return;
    }
    if (connected_already) {
        take_over();
    } else {
        show(XENBUS_CONNECTED);
        look_at_page(); /* a request may have come before we bound, and its event was lost */
    }
}

/* A frontend that has died or resumed begins anew, and may not have closed. */
static bool has_other_references(void)
{
    uint32_t gref, port;

    return (xenbus_read_number(&frontend_dir, "ring-ref", &gref) && gref != peer.gref) ||
           (xenbus_read_number(&frontend_dir, "event-channel", &port) && port != peer.remote_port);
}

static void let_go(void)
{
    link_close_port(peer.port);
    link_unmap_page(peer.page, peer.gref);
    peer.page = NULL;
}

static void look_at_frontend(void)
{
    uint32_t state = xenbus_read_state(&frontend_dir);
    /* Some frontends skip Initialised.  Closing is neither: it still uses the page. */
    bool there = state == XENBUS_INITIALISED || state == XENBUS_CONNECTED;
    bool gone = state == XENBUS_CLOSED || state == XENBUS_INITIALISING || state == XENBUS_UNKNOWN;
    bool offline = xenbus_is_offline(&backend_dir);

    if (peer.page != NULL && (gone || (there && has_other_references()))) {
        let_go();
        show(offline ? XENBUS_CLOSED : XENBUS_INIT_WAIT);
    }
    if (peer.page != NULL && offline)
        show(XENBUS_CLOSING); /* and Closed, once the frontend is */
    else if (peer.page == NULL && gone)
        show(offline ? XENBUS_CLOSED : XENBUS_INIT_WAIT);
    else if (peer.page == NULL && there && !offline)
        connect_frontend(state == XENBUS_CONNECTED);
}

int main(int argc, char **argv)
{
    static const struct link_program me = { LINK_BACKEND, "example C backend", "2.0", "" };
    unsigned happened = 0;

    place = link_open(&me, argc, argv);
    frontend_dir = xenbus_dir(LINK_FRONTEND, &place);
    backend_dir = xenbus_dir(LINK_BACKEND, &place);

    xenbus_write_feature(&backend_dir);
    show(XENBUS_INIT_WAIT);
    xenbus_watch_state(&frontend_dir);
    xenbus_watch_online(&backend_dir);

    while (!(happened & LINK_STOPPED)) {
        happened = link_wait(LINK_FOREVER, NULL);
        if (happened & LINK_CHANGED)
            look_at_frontend();
        if ((happened & LINK_NOTIFIED) && peer.page != NULL)
            look_at_page();
    }
    return 0;
}
