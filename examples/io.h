/* SPDX-License-Identifier: MIT */
/* Whole reads and writes, on file descriptors that block and on those that do not. */
#ifndef IO_H
#define IO_H

#include <stddef.h>

/* Ends the program, with one line on stderr that says why. */
__attribute__((noreturn, format(printf, 1, 2))) void fail(const char *format, ...);

/* Both fail if fd ends or breaks; what names it, for the message. */
void io_read_all(int fd, const char *what, void *data, size_t size);
void io_write_all(int fd, const char *what, const void *data, size_t size);

#endif
