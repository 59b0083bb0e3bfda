/* SPDX-License-Identifier: MIT */
/*
 * A vTPM frontend: connects to its backend, then sends the TPM requests that
 * it is ordered to send, one at a time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "protocol.h"
#include "xenbus.h"

#define PACKET_MAX (VTPM_PAGE_SIZE - VTPM_HEADER_SIZE) /* we use no extra pages */
#define SEND_TIMEOUT (120 * 1000)                      /* ms; a slow command may take long */
#define QUEUE_SIZE 16

static struct link_place place;
static struct xenbus_dir frontend_dir, backend_dir;
static uint8_t *page;
static uint32_t gref, port;

static enum {
    WAITING, /* for a backend that still serves an earlier life of ours */
    CONNECTING,
    CONNECTED,
    CLOSING, /* our state is Closed; page and port are granted until the backend lets go */
    CLOSED,  /* we hold nothing */
} connection;

/* The orders to close and to connect again, until they have their result. */
static bool close_ordered, reconnect_ordered;
static unsigned close_order, reconnect_order;

/* Orders to send, oldest first.  The first one is at work, the others wait. */
static struct link_order queue[QUEUE_SIZE];
static size_t queued;
static bool submitted;                  /* the first one is in the page */
static int64_t deadline = LINK_FOREVER; /* of the first one, once it is at work */

/* ---- the page ---- */

/* The first order has its result; the next one can start. */
static void drop_first(void)
{
    queued--;
    memmove(&queue[0], &queue[1], queued * sizeof(queue[0]));
    submitted = false;
    deadline = LINK_FOREVER;
}

static void end_first(enum link_outcome outcome, const char *why)
{
    link_report(queue[0].id, outcome, why);
    drop_first();
}

/* What is wrong with a request, or NULL. */
static const char *fault_of(const struct link_order *order)
{
    if (order->length < TPM_HEADER_SIZE)
        return "the packet is shorter than a TPM header";
    if (order->length > PACKET_MAX)
        return "the packet does not fit into the page";
    if (tpm_read_header(order->packet).size != order->length)
        return "the TPM header's size is not the packet's length";
    return NULL;
}

static void submit(const struct link_order *order)
{
    vtpm_write_packet(page, 0, order->packet, order->length);
    vtpm_store_locality(page, order->locality);
    vtpm_store_state(page, VTPM_SUBMIT);
    link_notify(port);
    submitted = true;
}

static void cancel(void)
{
    vtpm_store_state(page, VTPM_CANCEL);
    link_notify(port);
}

static void take_response(void)
{
    struct vtpm_header header = vtpm_sample_header(page);
    uint8_t response[PACKET_MAX];
    uint32_t size;

    if (header.length < TPM_HEADER_SIZE || header.length > PACKET_MAX) {
        fprintf(stderr, "frontend: response of %" PRIu32 " bytes, expected %d to %d\n",
                header.length, TPM_HEADER_SIZE, PACKET_MAX);
        end_first(LINK_FAILED, "the response's length is out of range");
        return;
    }
    /* We use no extra pages, whatever the page says now. */
    vtpm_read_packet(page, 0, response, header.length);
    size = tpm_read_header(response).size;
    if (size != header.length) {
        fprintf(stderr, "frontend: response of %" PRIu32 " bytes, expected the %" PRIu32
                " of its TPM header\n", header.length, size);
        end_first(LINK_FAILED, "the response's TPM header has another size than its length");
        return;
    }
    link_respond(queue[0].id, response, header.length);
    drop_first();
}

/* Takes the answer to the submitted request, if it is there. */
static void look_for_answer(void)
{
    switch (vtpm_load_state(page)) {
    case VTPM_FINISH:
        take_response();
        break;
    case VTPM_IDLE:
        end_first(LINK_CANCELLED, "the backend gave no response");
        break;
    default:
        break; /* a spurious event: still the backend's turn */
    }
}

static bool page_is_free(void)
{
    uint8_t state = vtpm_load_state(page);

    return state == VTPM_IDLE || state == VTPM_FINISH;
}

/* ---- orders ---- */

/* Refuses or submits waiting orders, until one is submitted or has to wait. */
static void start_orders(void)
{
    while (queued > 0 && !submitted) {
        bool closed = connection == CLOSING || connection == CLOSED;
        const char *fault = closed ? "the device is closed" : fault_of(&queue[0]);

        if (fault != NULL) {
            end_first(LINK_REFUSED, fault);
            continue;
        }
        if (deadline == LINK_FOREVER)
            deadline = link_now() + SEND_TIMEOUT;
        if (connection != CONNECTED || !page_is_free())
            return; /* not free: the last request timed out and is still unanswered */
        submit(&queue[0]);
    }
}

static void cancel_first(void)
{
    if (!submitted) {
        if (queued > 0)
            end_first(LINK_REFUSED, "cancelled before it was submitted");
        return;
    }
    /* An answer that is in the page must not be overwritten. */
    look_for_answer();
    if (submitted)
        cancel();
}

static void give_up_first(void)
{
    if (!submitted) {
        end_first(LINK_TIMED_OUT, "the page did not become free in time");
        return;
    }
    look_for_answer();
    if (submitted) {
        cancel();
        end_first(LINK_TIMED_OUT, "no answer in time");
    }
}

/* ---- the connection ---- */

static void publish(void)
{
    char ring_ref[12], event_channel[12];
    const struct link_node nodes[] = {
        { "ring-ref", ring_ref },
        { "event-channel", event_channel },
        { XENBUS_FEATURE, XENBUS_FEATURE_VALUE },
    };

    page = link_grant_page(place.backend, &gref);
    if (page == NULL || !link_allocate_port(place.backend, &port)) {
        fprintf(stderr, "frontend: no page or no port for the backend, domain %u\n", place.backend);
        exit(EXIT_FAILURE);
    }
    /* Whatever memory it was: the backend must find IDLE, and no extra pages. */
    memset(page, 0, VTPM_PAGE_SIZE);
    snprintf(ring_ref, sizeof(ring_ref), "%" PRIu32, gref);
    snprintf(event_channel, sizeof(event_channel), "%" PRIu32, port);
    link_write_all(frontend_dir.path, nodes, sizeof(nodes) / sizeof(nodes[0]));
    xenbus_write_state(&frontend_dir, XENBUS_INITIALISED);
    connection = CONNECTING;
}

/* Whether the backend may have a page of ours mapped. */
static bool backend_holds(uint32_t state)
{
    return state == XENBUS_CONNECTED || state == XENBUS_CLOSING;
}

static void open_device(void)
{
    uint32_t state = xenbus_read_state(&backend_dir);

    if (!backend_holds(state) && state != XENBUS_CLOSED) {
        publish();
        return;
    }
    /* It has served us before, and has to let go of that page first. */
    xenbus_write_state(&frontend_dir, XENBUS_CLOSED);
    connection = WAITING;
}

static void be_closed(void)
{
    connection = CLOSED;
    if (close_ordered)
        link_report(close_order, LINK_CLOSED, "");
    close_ordered = false;
}

/* Takes page and port back, if the backend has let go of them. */
static void take_back(uint32_t backend_state)
{
    if (backend_holds(backend_state) || !link_revoke_page(page, gref))
        return; /* it will change its state, and we come here again */
    link_close_port(port);
    page = NULL;
    be_closed();
}

static void close_device(const char *why)
{
    fprintf(stderr, "frontend: closing %s: %s\n", frontend_dir.path, why);
    if (submitted)
        look_for_answer(); /* the last chance */
    if (submitted)
        end_first(LINK_CANCELLED, why);
    if (reconnect_ordered)
        link_report(reconnect_order, LINK_FAILED, why);
    reconnect_ordered = false;
    /* From here on the page is not touched any more. */
    xenbus_write_state(&frontend_dir, XENBUS_CLOSED);
    if (page == NULL) {
        be_closed();
        return;
    }
    connection = CLOSING;
    take_back(xenbus_read_state(&backend_dir));
}

static void be_connected(void)
{
    if (!xenbus_has_feature(&backend_dir)) {
        xenbus_write_state(&frontend_dir, XENBUS_CLOSING);
        close_device("the backend's " XENBUS_FEATURE " is not \"" XENBUS_FEATURE_VALUE "\"");
        return;
    }
    connection = CONNECTED;
    xenbus_write_state(&frontend_dir, XENBUS_CONNECTED);
    if (reconnect_ordered)
        link_report(reconnect_order, LINK_CONNECTED, "");
    reconnect_ordered = false;
}

static void look_at_backend(void)
{
    uint32_t state = xenbus_read_state(&backend_dir);
    bool closes = state == XENBUS_CLOSING || state == XENBUS_CLOSED;

    if (connection == WAITING && !backend_holds(state) && !closes)
        publish();
    else if (connection == CLOSING)
        take_back(state);
    else if ((connection == CONNECTING || connection == CONNECTED) && closes)
        close_device("the backend is closed");
    else if (connection == CONNECTING && state == XENBUS_CONNECTED)
        be_connected();
    /* A backend that restarts goes to InitWait and Connected again: the same page serves. */
}

static void close_as_ordered(unsigned id)
{
    close_ordered = true;
    close_order = id;
    if (connection == CLOSED)
        be_closed();
    if (connection == CLOSING || connection == CLOSED)
        return;
    xenbus_write_state(&frontend_dir, XENBUS_CLOSING);
    close_device("as ordered");
}

static void reconnect_as_ordered(unsigned id)
{
    if (connection != CLOSED) {
        link_report(id, LINK_REFUSED, "the device is not closed");
        return;
    }
    reconnect_ordered = true;
    reconnect_order = id;
    open_device();
}

static void take_order(const struct link_order *order)
{
    switch (order->action) {
    case LINK_SEND:
        if (queued == QUEUE_SIZE)
            link_report(order->id, LINK_REFUSED, "too many orders wait");
        else
            queue[queued++] = *order;
        break;
    case LINK_CANCEL:
        cancel_first();
        break;
    case LINK_CLOSE:
        close_as_ordered(order->id);
        break;
    case LINK_RECONNECT:
        reconnect_as_ordered(order->id);
        break;
    }
}

int main(int argc, char **argv)
{
    static const struct link_program me = {
        LINK_FRONTEND, "example C frontend", "2.0", "orders,cancel,close,reconnect"
    };
    static struct link_order order;

    place = link_open(&me, argc, argv);
    frontend_dir = xenbus_dir(LINK_FRONTEND, &place);
    backend_dir = xenbus_dir(LINK_BACKEND, &place);
    open_device();
    xenbus_watch_state(&backend_dir);

    for (;;) {
        unsigned happened = link_wait(deadline, &order);

        if (happened & LINK_STOPPED)
            return 0;
        if ((happened & LINK_NOTIFIED) && submitted)
            look_for_answer();
        if (happened & LINK_CHANGED)
            look_at_backend();
        if (happened & LINK_ORDERED)
            take_order(&order);
        if (queued > 0 && link_now() >= deadline)
            give_up_first();
        start_orders();
    }
}
