/* SPDX-License-Identifier: MIT */
/*
 * A vTPM backend for one frontend, with a stand-in TPM 2.0 behind it, written
 * from the rendered pages of the specification alone.
 *
 * The stand-in answers at once, so no command ever runs while something else
 * happens: a CANCEL that is found in the page is of a request never seen.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "decimal.h"
#include "link.h"

enum { INITIALISING = 1, INIT_WAIT, INITIALISED, CONNECTED, CLOSING, CLOSED }; /* xenbus */
enum { IDLE, SUBMIT, FINISH, CANCEL };                                         /* the page */

#define PAGE_SIZE 4096
#define LENGTH_AT 0
#define STATE_AT 4
#define LOCALITY_AT 5
#define EXTRA_PAGES_AT 7
#define HEADER_SIZE 8

#define PACKET_HEADER 10
#define TAG_NO_SESSIONS 0x8001
#define TAG_SESSIONS 0x8002
#define TAG_OTHER_TPM 0x00C4
#define BAD_TAG 0x1E
#define BAD_LENGTH 0x142
#define UNKNOWN_COMMAND 0x143
#define BAD_LOCALITY 0x907
#define GET_RANDOM 0x17B
#define READ_CLOCK 0x181
#define RANDOM_MAX 64

static char own_dir[80];
static char peer_dir[80];
static struct link_place place;
static int64_t power_on;

static unsigned own_state;  /* as we wrote it last */
static unsigned peer_state; /* the last sound one; 0: none */

static uint8_t *page; /* NULL: not connected, and the next three mean nothing */
static uint32_t page_ref;
static uint32_t peer_port;
static uint32_t port;

static bool closing; /* by order, until the order to reconnect */
static bool close_unanswered;
static unsigned close_id;

/* ---- the stand-in TPM ---- */

static uint64_t get_number(const uint8_t *at, size_t size)
{
    uint64_t number = 0;

    while (size-- > 0)
        number = number << 8 | *at++;
    return number;
}

static uint8_t *put_number(uint8_t *at, size_t size, uint64_t number)
{
    while (size-- > 0)
        *at++ = (uint8_t)(number >> 8 * size);
    return at;
}

static size_t finish_packet(uint8_t *packet, unsigned tag, uint32_t code, const uint8_t *end)
{
    put_number(packet, 2, tag);
    put_number(packet + 2, 4, (uint64_t)(end - packet));
    put_number(packet + 6, 4, code);
    return (size_t)(end - packet);
}

static size_t tpm_error(uint8_t *packet, uint32_t code)
{
    unsigned tag = code == BAD_TAG ? TAG_OTHER_TPM : TAG_NO_SESSIONS;

    return finish_packet(packet, tag, code, packet + PACKET_HEADER);
}

/* Runs a request of at least ten bytes; returns the length of the response. */
static size_t tpm_run(const uint8_t *request, size_t length, uint8_t *response)
{
    unsigned tag = (unsigned)get_number(request, 2);
    uint32_t code = (uint32_t)get_number(request + 6, 4);
    size_t body = length - PACKET_HEADER;
    uint8_t *end = response + PACKET_HEADER;

    if (get_number(request + 2, 4) != length)
        return tpm_error(response, BAD_LENGTH);
    if (tag != TAG_NO_SESSIONS && tag != TAG_SESSIONS)
        return tpm_error(response, BAD_TAG);
    if (tag == TAG_SESSIONS || (code != GET_RANDOM && code != READ_CLOCK))
        return tpm_error(response, UNKNOWN_COMMAND);
    if (body != (code == GET_RANDOM ? 2 : 0))
        return tpm_error(response, BAD_LENGTH);

    if (code == GET_RANDOM) {
        size_t count = get_number(request + PACKET_HEADER, 2);

        if (count > RANDOM_MAX)
            count = RANDOM_MAX;
        end = put_number(end, 2, count);
        if (getrandom(end, count, 0) != (ssize_t)count)
            return tpm_error(response, 0x101);
        end += count;
    } else {
        uint64_t time = (uint64_t)(link_now() - power_on);

        end = put_number(end, 8, time);
        end = put_number(end, 8, time); /* clock: this TPM was never off */
        end = put_number(end, 4, 0);    /* resetCount */
        end = put_number(end, 4, 0);    /* restartCount */
        end = put_number(end, 1, 1);    /* safe */
    }
    return finish_packet(response, TAG_NO_SESSIONS, 0, end);
}

/* ---- the page ---- */

static _Atomic uint8_t *page_state(void)
{
    return (_Atomic uint8_t *)(page + STATE_AT);
}

/* Ends the request in the page. */
static void answer(uint8_t state)
{
    atomic_store_explicit(page_state(), state, memory_order_release);
    link_notify(port);
}

/* Takes one copy of the request, runs or refuses it, and stores the response. */
static void run_request(void)
{
    volatile uint8_t *at = page;
    uint32_t offset = HEADER_SIZE + 4u * at[EXTRA_PAGES_AT];
    uint8_t locality = at[LOCALITY_AT];
    uint32_t length = 0;
    uint8_t request[PAGE_SIZE];
    uint8_t response[PACKET_HEADER + 2 + RANDOM_MAX]; /* fits behind every grant list */

    for (unsigned i = 0; i < 4; i++)
        length |= (uint32_t)at[LENGTH_AT + i] << 8 * i;
    if (length < PACKET_HEADER || length > PAGE_SIZE - offset) {
        length = (uint32_t)tpm_error(response, BAD_LENGTH);
    } else if (locality != 0) { /* there is no policy that grants another */
        length = (uint32_t)tpm_error(response, BAD_LOCALITY);
    } else {
        for (uint32_t i = 0; i < length; i++)
            request[i] = at[offset + i];
        length = (uint32_t)tpm_run(request, length, response);
    }

    for (uint32_t i = 0; i < length; i++)
        at[offset + i] = response[i];
    for (unsigned i = 0; i < 4; i++)
        at[LENGTH_AT + i] = (uint8_t)(length >> 8 * i);
    answer(FINISH);
}

static void look_at_page(void)
{
    uint8_t state = atomic_load_explicit(page_state(), memory_order_acquire);

    if (state == SUBMIT)
        run_request();
    else if (state == CANCEL)
        answer(IDLE);
}

/* The first look at the page of a frontend that is Connected already. */
static void take_over_page(void)
{
    uint8_t state = atomic_load_explicit(page_state(), memory_order_acquire);

    if (state == SUBMIT || state == CANCEL)
        answer(IDLE); /* our predecessor may have run it */
    else
        link_notify(port); /* it may have died between FINISH and the event */
}

/* ---- xenstore ---- */

/* No value is too long for this; the text stays until the next read.  -1: no such node. */
static char text[PAGE_SIZE + 1];

static int read_node(const char *dir, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "%s/%s", dir, name);
    return link_read(path, text, sizeof(text));
}

static bool node_is(const char *dir, const char *name, char digit)
{
    return read_node(dir, name) == 1 && text[0] == digit;
}

static bool read_references(uint32_t *gref, uint32_t *remote)
{
    int length = read_node(peer_dir, "ring-ref");

    if (length < 0 || !parse_decimal(text, (size_t)length, gref))
        return false;
    length = read_node(peer_dir, "event-channel");
    return length >= 0 && parse_decimal(text, (size_t)length, remote);
}

/* False: the node says nothing, and counts as unchanged. */
static bool read_peer_state(void)
{
    int length = read_node(peer_dir, "state");

    if (length >= 0 && (length != 1 || text[0] < '0' || text[0] > '8'))
        return false;
    peer_state = length < 0 ? 0 : (unsigned)(text[0] - '0');
    return true;
}

static void set_own_state(unsigned state)
{
    char path[128];

    if (state == own_state)
        return;
    snprintf(path, sizeof(path), "%s/state", own_dir);
    link_write(path, (char[]){ (char)('0' + state), '\0' });
    own_state = state;
}

/* ---- the connection ---- */

static void let_go(void)
{
    link_close_port(port);
    link_unmap_page(page, page_ref);
    page = NULL;
}

/* Connects to a frontend that has published; false: its nodes are not sound. */
static bool connect_peer(void)
{
    uint8_t *mapped;

    if (!node_is(peer_dir, "feature-protocol-v2", '1') ||
        !read_references(&page_ref, &peer_port))
        return false;
    mapped = link_map_page(place.frontend, page_ref);
    if (mapped == NULL)
        return false;
    if (!link_bind_port(place.frontend, peer_port, &port)) {
        link_unmap_page(mapped, page_ref);
        return false;
    }
    page = mapped;
    set_own_state(CONNECTED);
    if (peer_state == CONNECTED)
        take_over_page();
    else
        look_at_page();
    return true;
}

static bool same_references(void)
{
    uint32_t gref, remote;

    return read_references(&gref, &remote) && gref == page_ref && remote == peer_port;
}

static void look_at_nodes(void)
{
    bool published = read_peer_state() && (peer_state == INITIALISED || peer_state == CONNECTED);
    bool over = peer_state <= INITIALISING || peer_state == CLOSED;
    bool leaving = closing || node_is(own_dir, "online", '0');

    if (page != NULL && (over || (published && !same_references())))
        let_go();

    if (page != NULL && leaving) {
        set_own_state(CLOSING); /* requests are answered until the frontend is Closed */
    } else if (page == NULL && leaving) {
        set_own_state(CLOSED);
    } else if (page == NULL) {
        set_own_state(INIT_WAIT);
        if (published && !connect_peer())
            set_own_state(CLOSED); /* until the next change: then InitWait, and another try */
    }
    if (close_unanswered && own_state == CLOSED) {
        close_unanswered = false;
        link_report(close_id, LINK_CLOSED, "");
    }
}

static void obey(const struct link_order *order)
{
    if (close_unanswered) {
        link_report(order->id, LINK_REFUSED, "the frontend is not Closed yet");
    } else if (order->action == LINK_CLOSE) {
        closing = close_unanswered = true;
        close_id = order->id;
        look_at_nodes();
    } else if (order->action == LINK_RECONNECT) {
        closing = false;
        look_at_nodes();
        if (node_is(own_dir, "online", '0'))
            link_report(order->id, LINK_REFUSED, "the device is offline");
        else
            link_report(order->id, LINK_CONNECTED, "");
    } else {
        link_report(order->id, LINK_REFUSED, "not an order for a backend");
    }
}

int main(int argc, char **argv)
{
    static const struct link_program me = {
        LINK_BACKEND, "backend_from_pages", "2.0", "close,reconnect"
    };
    static struct link_order order;
    char path[128];
    unsigned happened;

    power_on = link_now();
    place = link_open(&me, argc, argv);
    snprintf(own_dir, sizeof(own_dir), "/local/domain/%u/backend/vtpm/%u/%u", place.backend,
             place.frontend, place.device);
    snprintf(peer_dir, sizeof(peer_dir), "/local/domain/%u/device/vtpm/%u", place.frontend,
             place.device);

    snprintf(path, sizeof(path), "%s/state", peer_dir);
    link_watch(path);
    snprintf(path, sizeof(path), "%s/online", own_dir);
    link_watch(path);
    snprintf(path, sizeof(path), "%s/feature-protocol-v2", own_dir);
    link_write(path, "1");
    set_own_state(INIT_WAIT);

    while (!((happened = link_wait(LINK_FOREVER, &order)) & LINK_STOPPED)) {
        if (happened & LINK_CHANGED)
            look_at_nodes();
        if (happened & LINK_ORDERED)
            obey(&order);
        if (happened & LINK_NOTIFIED && page != NULL)
            look_at_page();
    }
    return 0;
}
