/* SPDX-License-Identifier: MIT */
/*
 * The judge's process link (spec/adapter.md): a memfd stands in for grants,
 * eventfds for event channels, a socket for the connection to xenstore, and
 * the judge itself for the hypervisor.  Its JSON lines are in judge.c.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "decimal.h"
#include "io.h"
#include "json.h"
#include "judge.h"
#include "link.h"
#include "xenstore.h"

#define GRANT_SIZE 4096

static const char *start_line; /* kept for its lists of fds */
static uint8_t *memory;
static uint32_t pages;
static int store_fd;

/* What our port waits on and signals with; -1: there is no port. */
static int wait_fd = -1;
static int signal_fd = -1;

struct link_place link_open(const struct link_program *me, int argc, char **argv)
{
    const char *role = me->role == LINK_FRONTEND ? "frontend" : "backend";
    struct link_place place;

    (void)argc, (void)argv; /* all there is to know is in the first line */
    signal(SIGPIPE, SIG_IGN); /* a judge that went away shows as a failed write */
    start_line = judge_start_line();
    if (!json_is(start_line, "role", role))
        fail("stdin: this program is a %s, got: %s", role, start_line);

    place.frontend = judge_number("frontend");
    place.backend = judge_number("backend");
    place.device = judge_number("device");
    store_fd = (int)judge_number("store_fd");
    xenstore_open(store_fd);
    pages = judge_number("pages");
    memory = mmap(NULL, (size_t)pages * GRANT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
                  (int)judge_number("memory_fd"), 0);
    if (memory == MAP_FAILED)
        fail("memory_fd: cannot map %" PRIu32 " pages: %s", pages, strerror(errno));
    judge_ready(me);
    return place;
}

/* ---- pages ---- */

static uint8_t *page_of(uint32_t gref)
{
    if (gref >= pages)
        fail("got grant reference %" PRIu32 ", expected one below %" PRIu32, gref, pages);
    return memory + (size_t)gref * GRANT_SIZE;
}

uint8_t *link_grant_page(unsigned domid, uint32_t *gref)
{
    if (!judge_ask("\"msg\": \"grant\", \"domid\": %u", domid))
        return NULL;
    *gref = judge_number("gref");
    return page_of(*gref);
}

bool link_revoke_page(uint8_t *page, uint32_t gref)
{
    (void)page; /* the memfd stays mapped; the page can be granted anew */
    return judge_ask("\"msg\": \"revoke\", \"gref\": %" PRIu32, gref);
}

uint8_t *link_map_page(unsigned domid, uint32_t gref)
{
    if (!judge_ask("\"msg\": \"map\", \"domid\": %u, \"gref\": %" PRIu32, domid, gref))
        return NULL;
    return page_of(gref);
}

void link_unmap_page(uint8_t *page, uint32_t gref)
{
    (void)page; /* the memfd stays mapped; from here on the page is not ours to touch */
    judge_ask("\"msg\": \"unmap\", \"gref\": %" PRIu32, gref);
}

/* ---- the event channel ---- */

/* The fd of a port in one of the two lists, which look like "9,11,13". */
static int fd_of(const char *list, uint32_t port)
{
    struct json_value fds;
    uint32_t fd;

    if (!json_find(start_line, list, &fds) || !fds.is_string)
        fail("stdin: expected a list \"%s\" in: %s", list, start_line);
    for (uint32_t entry = 0;; entry++) {
        const char *comma = memchr(fds.text, ',', fds.length);
        size_t length = comma != NULL ? (size_t)(comma - fds.text) : fds.length;

        if (entry == port && parse_decimal(fds.text, length, &fd))
            return (int)fd;
        if (entry == port || comma == NULL)
            fail("stdin: expected an fd for port %" PRIu32 " in \"%s\" of: %s", port, list,
                 start_line);
        fds.length -= length + 1;
        fds.text = comma + 1;
    }
}

/* The reply to a bind: the port is ours. */
static uint32_t take_port(void)
{
    uint32_t port = judge_number("port");

    wait_fd = fd_of("wait_fds", port);
    signal_fd = fd_of("signal_fds", port);
    return port;
}

bool link_allocate_port(unsigned domid, uint32_t *port)
{
    if (!judge_ask("\"msg\": \"bind\", \"domid\": %u", domid))
        return false;
    *port = take_port();
    return true;
}

bool link_bind_port(unsigned domid, uint32_t remote_port, uint32_t *port)
{
    if (!judge_ask("\"msg\": \"bind\", \"domid\": %u, \"port\": %" PRIu32, domid, remote_port))
        return false;
    *port = take_port();
    return true;
}

void link_close_port(uint32_t port)
{
    wait_fd = signal_fd = -1;
    judge_ask("\"msg\": \"unbind\", \"port\": %" PRIu32, port);
}

void link_notify(uint32_t port)
{
    static const uint64_t one = 1;

    (void)port;
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    /* EAGAIN: the counter is full, so a notification is on its way already. */
    if (write(signal_fd, &one, sizeof(one)) < 0 && errno != EAGAIN)
        fail("event channel: cannot notify the peer: %s", strerror(errno));
}

/* Clears the port's notifications; false: there was none. */
static bool take_notification(void)
{
    uint64_t count;

    return read(wait_fd, &count, sizeof(count)) == sizeof(count);
}

/* ---- xenstore ---- */

int link_read(const char *path, char *value, size_t size)
{
    return xenstore_read(path, value, size);
}

void link_write(const char *path, const char *value)
{
    xenstore_write(path, value);
}

void link_write_all(const char *dir, const struct link_node *nodes, size_t count)
{
    xenstore_write_all(dir, nodes, count);
}

void link_watch(const char *path)
{
    xenstore_watch(path);
}

/* ---- waiting ---- */

int64_t link_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The deadline as poll wants it. */
static int milliseconds_until(int64_t deadline)
{
    int64_t left;

    if (deadline == LINK_FOREVER)
        return -1;
    left = deadline - link_now();
    if (left < 0)
        return 0;
    return left < INT_MAX ? (int)left : INT_MAX;
}

/* Waits for up to some milliseconds, then takes in what there is. */
static unsigned take_events(int milliseconds)
{
    struct pollfd fds[] = {
        { .fd = STDIN_FILENO, .events = POLLIN },
        { .fd = store_fd, .events = POLLIN },
        { .fd = wait_fd, .events = POLLIN }, /* poll skips an fd of -1 */
    };
    unsigned happened = 0;

    if (poll(fds, 3, milliseconds) < 0)
        return 0; /* a signal */
    if (fds[0].revents != 0 && !judge_read())
        return LINK_STOPPED; /* a judge that goes away closes xenstore too */
    if (fds[1].revents != 0)
        xenstore_receive();
    if (fds[2].revents != 0 && take_notification())
        happened |= LINK_NOTIFIED;
    return happened;
}

unsigned link_wait(int64_t deadline, struct link_order *order)
{
    unsigned happened;
    bool news;

    do {
        happened = judge_next_order(order);
        news = happened != 0 || xenstore_watch_fired();
        /* With news already here, do not wait, but take in the rest of it. */
        happened |= take_events(news ? 0 : milliseconds_until(deadline));
        if (xenstore_watch_fired())
            happened |= LINK_CHANGED;
        xenstore_clear_watch();
    } while (happened == 0 && link_now() < deadline);
    return happened;
}
