/* SPDX-License-Identifier: MIT */
/*
 * Real Xen, from the user space of a Linux domain: gntdev maps what the peer
 * grants, gntalloc grants pages of one's own, evtchn has the ports, and
 * xenstore is a socket (in dom0) or a device.
 *
 * With arguments (FRONTEND BACKEND DEVICE: two domids and the device's number)
 * the program runs by itself.  Without, the judge says on stdin which device it
 * is, gives orders there, and gets their results on stdout (judge.c).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

/* Xen's headers have these two; the kernel's use them, and do not. */
typedef uint16_t domid_t;
typedef uint32_t grant_ref_t;

#include <xen/evtchn.h>
#include <xen/gntalloc.h>
#include <xen/gntdev.h>

#include "decimal.h"
#include "io.h"
#include "json.h"
#include "judge.h"
#include "link.h"
#include "xenstore.h"

#define GRANT_SIZE 4096

static int map_fd, alloc_fd, event_fd, store_fd;
static bool judged; /* stdin is the judge's */

/* Where the one page is among a device's; needed to give it back. */
static uint64_t page_index;
/* Our port, or -1. */
static int64_t own_port = -1;

static int open_device(const char *path)
{
    int fd = open(path, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        fail("%s: cannot be opened: %s; expected a Xen domain with that module", path,
             strerror(errno));
    return fd;
}

/* xenstored's socket where it runs, its device elsewhere. */
static int open_xenstore(void)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/run/xenstored/socket" };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return open_device("/dev/xen/xenbus");
}

static unsigned argument(const char *text)
{
    uint32_t number;

    if (!parse_decimal(text, strlen(text), &number))
        fail("arguments: got \"%s\", expected FRONTEND BACKEND DEVICE in decimal digits", text);
    return number;
}

static struct link_place judged_place(const struct link_program *me)
{
    const char *role = me->role == LINK_FRONTEND ? "frontend" : "backend";
    const char *start = judge_start_line();
    struct link_place place;

    if (!json_is(start, "role", role))
        fail("stdin: this program is a %s, got: %s", role, start);
    place.frontend = judge_number("frontend");
    place.backend = judge_number("backend");
    place.device = judge_number("device");
    return place;
}

struct link_place link_open(const struct link_program *me, int argc, char **argv)
{
    struct link_place place;

    if (argc != 1 && argc != 4)
        fail("got %d arguments, expected FRONTEND BACKEND DEVICE, or none and the judge on stdin",
             argc - 1);
    signal(SIGPIPE, SIG_IGN); /* a judge that went away shows as a failed write */
    judged = argc == 1;
    if (judged)
        place = judged_place(me);
    else
        place = (struct link_place){ argument(argv[1]), argument(argv[2]), argument(argv[3]) };

    map_fd = open_device("/dev/xen/gntdev");
    alloc_fd = open_device("/dev/xen/gntalloc");
    event_fd = open_device("/dev/xen/evtchn");
    fcntl(event_fd, F_SETFL, O_NONBLOCK);
    store_fd = open_xenstore();
    xenstore_open(store_fd);
    if (judged)
        judge_ready(me);
    return place;
}

/* ---- pages ---- */

static uint8_t *map_device(int fd, uint64_t index)
{
    void *page = mmap(NULL, GRANT_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)index);

    if (page == MAP_FAILED) {
        fprintf(stderr, "grants: a page cannot be mapped: %s\n", strerror(errno));
        return NULL;
    }
    page_index = index;
    return page;
}

uint8_t *link_grant_page(unsigned domid, uint32_t *gref)
{
    struct ioctl_gntalloc_alloc_gref request = {
        .domid = (uint16_t)domid,
        .flags = GNTALLOC_FLAG_WRITABLE,
        .count = 1,
    };
    uint8_t *page;

    if (ioctl(alloc_fd, IOCTL_GNTALLOC_ALLOC_GREF, &request) < 0) {
        fprintf(stderr, "grants: no page for domain %u: %s\n", domid, strerror(errno));
        return NULL;
    }
    page = map_device(alloc_fd, request.index);
    if (page != NULL)
        memset(page, 0, GRANT_SIZE);
    *gref = request.gref_ids[0];
    return page;
}

bool link_revoke_page(uint8_t *page, uint32_t gref)
{
    struct ioctl_gntalloc_dealloc_gref request = { .index = page_index, .count = 1 };

    (void)gref;
    munmap(page, GRANT_SIZE);
    /* The kernel itself waits with a page that is still mapped, so this is the end of it. */
    if (ioctl(alloc_fd, IOCTL_GNTALLOC_DEALLOC_GREF, &request) < 0)
        fprintf(stderr, "grants: a page cannot be taken back: %s\n", strerror(errno));
    return true;
}

uint8_t *link_map_page(unsigned domid, uint32_t gref)
{
    struct ioctl_gntdev_map_grant_ref request = {
        .count = 1,
        .refs = { { .domid = domid, .ref = gref } },
    };

    if (ioctl(map_fd, IOCTL_GNTDEV_MAP_GRANT_REF, &request) < 0) {
        fprintf(stderr, "grants: no page %" PRIu32 " of domain %u: %s\n", gref, domid,
                strerror(errno));
        return NULL;
    }
    return map_device(map_fd, request.index);
}

void link_unmap_page(uint8_t *page, uint32_t gref)
{
    struct ioctl_gntdev_unmap_grant_ref request = { .index = page_index, .count = 1 };

    (void)gref;
    munmap(page, GRANT_SIZE);
    if (ioctl(map_fd, IOCTL_GNTDEV_UNMAP_GRANT_REF, &request) < 0)
        fprintf(stderr, "grants: a page cannot be given back: %s\n", strerror(errno));
}

/* ---- the event channel ---- */

/* What an ioctl of evtchn returned is a port, or -1. */
static bool take_port(int result, uint32_t *port)
{
    if (result < 0) {
        fprintf(stderr, "event channel: no port: %s\n", strerror(errno));
        return false;
    }
    own_port = result;
    *port = (uint32_t)result;
    return true;
}

bool link_allocate_port(unsigned domid, uint32_t *port)
{
    struct ioctl_evtchn_bind_unbound_port request = { .remote_domain = domid };

    return take_port(ioctl(event_fd, IOCTL_EVTCHN_BIND_UNBOUND_PORT, &request), port);
}

bool link_bind_port(unsigned domid, uint32_t remote_port, uint32_t *port)
{
    struct ioctl_evtchn_bind_interdomain request = { domid, remote_port };

    return take_port(ioctl(event_fd, IOCTL_EVTCHN_BIND_INTERDOMAIN, &request), port);
}

void link_close_port(uint32_t port)
{
    struct ioctl_evtchn_unbind request = { port };

    own_port = -1;
    if (ioctl(event_fd, IOCTL_EVTCHN_UNBIND, &request) < 0)
        fprintf(stderr, "event channel: port %" PRIu32 " cannot be closed: %s\n", port,
                strerror(errno));
}

void link_notify(uint32_t port)
{
    struct ioctl_evtchn_notify request = { port };

    __atomic_thread_fence(__ATOMIC_SEQ_CST);
    if (ioctl(event_fd, IOCTL_EVTCHN_NOTIFY, &request) < 0)
        fprintf(stderr, "event channel: the peer cannot be notified: %s\n", strerror(errno));
}

/* Takes what is pending and lets the next event come; false: nothing of our port. */
static bool take_notification(void)
{
    uint32_t ports[64];
    ssize_t got = read(event_fd, ports, sizeof(ports));
    bool ours = false;

    for (ssize_t i = 0; i < got / (ssize_t)sizeof(ports[0]); i++)
        ours |= ports[i] == own_port;
    /* A port is masked until it is written back; one that was closed since cannot be. */
    for (ssize_t i = 0; i < got / (ssize_t)sizeof(ports[0]); i++)
        if (write(event_fd, &ports[i], sizeof(ports[i])) < 0 && errno != EINVAL)
            fail("event channel: cannot be read on: %s", strerror(errno));
    return ours;
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
        { .fd = judged ? STDIN_FILENO : -1, .events = POLLIN }, /* poll skips an fd of -1 */
        { .fd = store_fd, .events = POLLIN },
        { .fd = event_fd, .events = POLLIN },
    };
    unsigned happened = 0;

    if (poll(fds, 3, milliseconds) < 0)
        return 0; /* a signal */
    if (fds[0].revents != 0 && !judge_read())
        return LINK_STOPPED;
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
        happened = judged ? judge_next_order(order) : 0;
        news = happened != 0 || xenstore_watch_fired();
        /* With news already here, do not wait, but take in the rest of it. */
        happened |= take_events(news ? 0 : milliseconds_until(deadline));
        if (xenstore_watch_fired())
            happened |= LINK_CHANGED;
        xenstore_clear_watch();
    } while (happened == 0 && link_now() < deadline);
    return happened;
}
