/* SPDX-License-Identifier: MIT */
/*
 * How the two ends find each other: the device's directories in xenstore,
 * and the nodes that take part in the handshake.
 */
#ifndef XENBUS_H
#define XENBUS_H

#include <stdbool.h>
#include <stdint.h>

#include "link.h"

/* Value of a state node, as in Xen's xenbus.h. */
enum xenbus_state {
    XENBUS_UNKNOWN = 0, /* also: no such node */
    XENBUS_INITIALISING = 1,
    XENBUS_INIT_WAIT = 2,
    XENBUS_INITIALISED = 3,
    XENBUS_CONNECTED = 4,
    XENBUS_CLOSING = 5,
    XENBUS_CLOSED = 6,
    XENBUS_RECONFIGURED = 8, /* the last; 7 and 8 mean nothing here */
    XENBUS_NONSENSE = 9,     /* ours: the node holds none of these */
};

#define XENBUS_PATH_MAX 128

/* One end's directory, absolute. */
struct xenbus_dir {
    char path[XENBUS_PATH_MAX];
};

struct xenbus_dir xenbus_dir(enum link_role role, const struct link_place *place);

/* Whether the node is there and holds a plain decimal number; if so, it. */
bool xenbus_read_number(const struct xenbus_dir *dir, const char *node, uint32_t *number);

uint32_t xenbus_read_state(const struct xenbus_dir *dir);
void xenbus_write_state(const struct xenbus_dir *dir, enum xenbus_state state);
void xenbus_watch_state(const struct xenbus_dir *dir);

/* The toolstack's node in the backend's directory: "0" when the device goes away. */
bool xenbus_is_offline(const struct xenbus_dir *dir);
void xenbus_watch_online(const struct xenbus_dir *dir);

/* The node by which each end says that it speaks version 2, and its value. */
#define XENBUS_FEATURE "feature-protocol-v2"
#define XENBUS_FEATURE_VALUE "1" /* the only one that every deployed peer takes */
void xenbus_write_feature(const struct xenbus_dir *dir);
bool xenbus_has_feature(const struct xenbus_dir *dir);

#endif
