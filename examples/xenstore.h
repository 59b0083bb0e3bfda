/* SPDX-License-Identifier: MIT */
/*
 * A small client of xenstore's wire protocol, over any file descriptor that
 * carries it: the judge's socket, or /dev/xen/xenbus.  Calls wait for their
 * reply.  Watches have no names: that one of them fired is all one needs to know.
 */
#ifndef XENSTORE_H
#define XENSTORE_H

#include <stdbool.h>
#include <stddef.h>

#include "link.h"

void xenstore_open(int fd);

/* These do what link.h says of link_read and its neighbours. */
int xenstore_read(const char *path, char *value, size_t size);
void xenstore_write(const char *path, const char *value);
void xenstore_write_all(const char *dir, const struct link_node *nodes, size_t count);
void xenstore_watch(const char *path);

/* Takes in one message; call it when the file descriptor is readable. */
void xenstore_receive(void);

/*
 * Whether a watch has fired.  Ask before waiting too: events also come while
 * a call waits for its reply.
 */
bool xenstore_watch_fired(void);

/* Forgets it; call this before looking at what is watched, not after. */
void xenstore_clear_watch(void);

#endif
