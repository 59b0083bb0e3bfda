/* SPDX-License-Identifier: MIT */
#include "io.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

/* After a read or write that failed: waits until it may succeed, or fails for good. */
static void wait_until_ready(int fd, const char *what, short events)
{
    struct pollfd waiting = { .fd = fd, .events = events };

    if (errno == EAGAIN)
        poll(&waiting, 1, -1);
    else if (errno != EINTR)
        fail("%s: cannot be %s: %s", what, events == POLLIN ? "read" : "written", strerror(errno));
}

void io_read_all(int fd, const char *what, void *data, size_t size)
{
    char *at = data;

    while (size > 0) {
        ssize_t count = read(fd, at, size);

        if (count == 0)
            fail("%s: ended, expected %zu more bytes", what, size);
        if (count < 0) {
            wait_until_ready(fd, what, POLLIN);
            continue;
        }
        at += count;
        size -= (size_t)count;
    }
}

void io_write_all(int fd, const char *what, const void *data, size_t size)
{
    const char *at = data;

    while (size > 0) {
        ssize_t count = write(fd, at, size);

        if (count < 0) {
            wait_until_ready(fd, what, POLLOUT);
            continue;
        }
        at += count;
        size -= (size_t)count;
    }
}
