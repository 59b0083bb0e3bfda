/* SPDX-License-Identifier: MIT */
#include "xenstore.h"

#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "decimal.h"
#include "io.h"

/* Names and values as in Xen's xs_wire.h. */
enum message_type {
    XS_READ = 2,
    XS_WATCH = 4,
    XS_TRANSACTION_START = 6,
    XS_TRANSACTION_END = 7,
    XS_WRITE = 11,
    XS_WATCH_EVENT = 15,
    XS_ERROR = 16,
};

#define PAYLOAD_MAX 4096
#define NO_TRANSACTION 0

struct header {
    uint32_t type;
    uint32_t req_id;
    uint32_t tx_id;
    uint32_t length; /* of the payload, which follows */
};

struct message {
    struct header header;
    char payload[PAYLOAD_MAX + 1]; /* one more for a NUL, which is not sent */
};

static int store_fd = -1;
static bool watch_fired;
static struct message received; /* the last one, in the CPU's byte order */

void xenstore_open(int fd)
{
    store_fd = fd;
}

bool xenstore_watch_fired(void)
{
    return watch_fired;
}

void xenstore_clear_watch(void)
{
    watch_fired = false;
}

void xenstore_receive(void)
{
    struct header *header = &received.header;

    io_read_all(store_fd, "xenstore", header, sizeof(*header));
    header->type = le32toh(header->type);
    header->req_id = le32toh(header->req_id);
    header->length = le32toh(header->length);
    if (header->length > PAYLOAD_MAX)
        fail("xenstore: a message of %" PRIu32 " bytes, expected at most %d", header->length,
             PAYLOAD_MAX);
    io_read_all(store_fd, "xenstore", received.payload, header->length);
    received.payload[header->length] = '\0';
    watch_fired |= header->type == XS_WATCH_EVENT;
}

/*
 * Sends a request and receives its reply.  The payload is the path with its
 * NUL, then more.  False: xenstore's error, whose name is the payload received.
 */
static bool ask(enum message_type type, uint32_t tx_id, const char *path, const char *more,
                size_t more_size)
{
    static uint32_t req_id;
    static struct message sent;
    const struct header *reply = &received.header;
    size_t path_size = strlen(path) + 1;
    size_t size = path_size + more_size;

    if (size > PAYLOAD_MAX)
        fail("xenstore: %s: path and value have %zu bytes, expected at most %d", path, size,
             PAYLOAD_MAX);
    sent.header = (struct header){
        htole32(type), htole32(++req_id), htole32(tx_id), htole32((uint32_t)size)
    };
    memcpy(sent.payload, path, path_size);
    memcpy(sent.payload + path_size, more, more_size);
    io_write_all(store_fd, "xenstore", &sent, sizeof(sent.header) + size);
    do {
        xenstore_receive();
    } while (reply->type == XS_WATCH_EVENT);

    if (reply->req_id != req_id || (reply->type != type && reply->type != XS_ERROR))
        fail("xenstore: got a reply of type %" PRIu32 " to request %" PRIu32
             ", expected type %d to request %" PRIu32,
             reply->type, reply->req_id, (int)type, req_id);
    return reply->type != XS_ERROR;
}

int xenstore_read(const char *path, char *value, size_t size)
{
    bool found = ask(XS_READ, NO_TRANSACTION, path, "", 0);

    if (!found && strcmp(received.payload, "ENOENT") != 0)
        fprintf(stderr, "xenstore: %s: cannot be read: %s\n", path, received.payload);
    if (!found || received.header.length >= size)
        return -1;
    memcpy(value, received.payload, received.header.length + 1);
    return (int)received.header.length;
}

static void write_node(uint32_t tx_id, const char *path, const char *value)
{
    /* The value ends with the message; a NUL would be part of it. */
    if (!ask(XS_WRITE, tx_id, path, value, strlen(value)))
        fail("xenstore: %s: cannot be written: %s", path, received.payload);
}

void xenstore_write(const char *path, const char *value)
{
    write_node(NO_TRANSACTION, path, value);
}

static uint32_t start_transaction(void)
{
    uint32_t tx_id;

    if (!ask(XS_TRANSACTION_START, NO_TRANSACTION, "", "", 0))
        fail("xenstore: no transaction: %s", received.payload);
    if (!parse_decimal(received.payload, strlen(received.payload), &tx_id))
        fail("xenstore: got transaction \"%s\", expected a number", received.payload);
    return tx_id;
}

void xenstore_write_all(const char *dir, const struct link_node *nodes, size_t count)
{
    bool done;

    do {
        uint32_t tx_id = start_transaction();

        for (size_t i = 0; i < count; i++) {
            char path[256];

            snprintf(path, sizeof(path), "%s/%s", dir, nodes[i].name);
            write_node(tx_id, path, nodes[i].value);
        }
        done = ask(XS_TRANSACTION_END, tx_id, "T", "", 0);
        /* EAGAIN: somebody else wrote at the same time, and nothing of ours was written. */
        if (!done && strcmp(received.payload, "EAGAIN") != 0)
            fail("xenstore: %s: the transaction failed: %s", dir, received.payload);
    } while (!done);
}

void xenstore_watch(const char *path)
{
    static const char token[] = "state"; /* each event repeats it; nobody reads it */

    if (!ask(XS_WATCH, NO_TRANSACTION, path, token, sizeof(token)))
        fail("xenstore: %s: cannot be watched: %s", path, received.payload);
}
