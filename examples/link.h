/* SPDX-License-Identifier: MIT */
/*
 * What a vTPM frontend or backend needs from the world around it: pages,
 * event channels, xenstore, a way to wait, and somebody who gives orders.
 *
 * Each transport implements this file once (link_process.c: the judge's
 * process link).  A program has one link and one event channel.
 *
 * What the peer or the hypervisor can refuse is a return value, with the
 * reason on stderr.  Trouble with the link itself ends the program.
 */
#ifndef LINK_H
#define LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum link_role { LINK_FRONTEND, LINK_BACKEND };

/* Who we are, for whoever started us. */
struct link_program {
    enum link_role role;
    const char *name; /* free text */
    const char *tpm;  /* "1.2", "2.0" or "none" */
    const char *can;  /* what else we can do: words, separated by commas */
};

/* Which device this is: the two domids, and the number of the device. */
struct link_place {
    unsigned frontend;
    unsigned backend;
    unsigned device;
};

/* Comes first.  The command line is there for the links that need one. */
struct link_place link_open(const struct link_program *me, int argc, char **argv);

/*
 * Pages.  A frontend grants a page of its own to the backend's domid, and
 * tells it the grant reference; the backend maps it.  NULL: refused.
 * A page cannot be revoked while the backend has it mapped: false then, and
 * the page stays granted.
 */
uint8_t *link_grant_page(unsigned domid, uint32_t *gref);
bool link_revoke_page(uint8_t *page, uint32_t gref);
uint8_t *link_map_page(unsigned domid, uint32_t gref);
void link_unmap_page(uint8_t *page, uint32_t gref);

/*
 * The event channel.  A frontend allocates a port that only domid can bind;
 * the backend binds a local port of its own to it.  False: refused.
 *
 * No store made before link_notify may be seen after its notification.
 */
bool link_allocate_port(unsigned domid, uint32_t *port);
bool link_bind_port(unsigned domid, uint32_t remote_port, uint32_t *port);
void link_close_port(uint32_t port);
void link_notify(uint32_t port);

/* One xenstore node below some directory. */
struct link_node {
    const char *name;
    const char *value;
};

/*
 * Xenstore, by absolute path.  link_read stores the value with a final NUL
 * and returns its length, or -1: no such node, not ours to read, or too long
 * for size.  link_write_all writes several nodes in one transaction.
 * A watch fires when it is set, and then whenever the node may have changed.
 */
int link_read(const char *path, char *value, size_t size);
void link_write(const char *path, const char *value);
void link_write_all(const char *dir, const struct link_node *nodes, size_t count);
void link_watch(const char *path);

/* What a frontend can be told to do.  Of a longer packet, only this much is kept. */
#define LINK_PACKET_MAX 8192

enum link_action { LINK_SEND, LINK_CANCEL, LINK_CLOSE, LINK_RECONNECT };

struct link_order {
    unsigned id;
    enum link_action action;
    uint8_t locality; /* this and what follows: LINK_SEND only */
    size_t length;    /* as ordered, even if longer than LINK_PACKET_MAX */
    uint8_t packet[LINK_PACKET_MAX];
};

enum link_outcome {
    LINK_CANCELLED, /* the backend gave no response */
    LINK_REFUSED,   /* nothing was submitted */
    LINK_FAILED,    /* there was an answer that could not be taken */
    LINK_TIMED_OUT, /* we stopped waiting */
    LINK_CLOSED,    /* as ordered: nothing of the device is held any more */
    LINK_CONNECTED, /* as ordered, again */
};

/* How an order ended: with a response, or without one and, if there is more to say, why. */
void link_respond(unsigned id, const uint8_t *packet, size_t length);
void link_report(unsigned id, enum link_outcome outcome, const char *why);

/* Milliseconds on a clock that is never set back. */
int64_t link_now(void);

#define LINK_FOREVER INT64_MAX

enum link_event {
    LINK_NOTIFIED = 1, /* the event channel; says nothing but "look" */
    LINK_CHANGED = 2,  /* a watch */
    LINK_ORDERED = 4,  /* *order is filled in */
    LINK_STOPPED = 8,  /* told to end */
};

/*
 * Waits until something happens or link_now() reaches the deadline, and
 * returns every event there was, ORed; 0 is the deadline.  Events of one kind
 * may be joined into one.  Orders come one at a time, in the order given; a
 * program that takes none passes NULL.
 */
unsigned link_wait(int64_t deadline, struct link_order *order);

#endif
