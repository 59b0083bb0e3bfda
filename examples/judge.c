/* SPDX-License-Identifier: MIT */
#include "judge.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io.h"
#include "json.h"

#define PROTOCOL 1      /* the version of spec/adapter.md */
#define LINE_SIZE 32768 /* the longest line */

/* Orders that came while we waited for a reply stay in here until asked for. */
static char inbox[8 * LINE_SIZE];
static size_t inbox_length;

/* The line that take_line took last. */
static char line[LINE_SIZE + 1];

bool judge_read(void)
{
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    ssize_t got;

    if (inbox_length == sizeof(inbox))
        fail("stdin: %zu bytes wait, expected fewer, in lines of at most %d", inbox_length,
             LINE_SIZE);
    poll(&input, 1, -1);
    got = read(STDIN_FILENO, inbox + inbox_length, sizeof(inbox) - inbox_length);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return true;
    if (got < 0)
        fail("stdin: cannot be read: %s", strerror(errno));
    inbox_length += (size_t)got;
    return got > 0;
}

static bool is_reply(void)
{
    return json_is(line, "msg", "done") || json_is(line, "msg", "refused");
}

/* Moves a line from inbox to line: the first that is a reply, or the first that is not. */
static bool take_line(bool reply)
{
    char *at = inbox;
    char *end = inbox + inbox_length;
    char *newline;

    while ((newline = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        size_t length = (size_t)(newline - at);

        if (length > LINE_SIZE)
            fail("stdin: a line has %zu bytes, expected at most %d", length, LINE_SIZE);
        memcpy(line, at, length);
        line[length] = '\0';
        if (is_reply() == reply) {
            memmove(at, newline + 1, (size_t)(end - newline - 1));
            inbox_length -= length + 1;
            return true;
        }
        at = newline + 1;
    }
    return false;
}

uint32_t judge_number(const char *key)
{
    uint32_t value;

    if (!json_number(line, key, &value))
        fail("stdin: expected a number \"%s\" in: %s", key, line);
    return value;
}

/* Ends a line that was printed to stdout, and sends it. */
static void end_line(void)
{
    putchar('\n');
    if (fflush(stdout) != 0)
        fail("stdout: cannot be written: %s", strerror(errno));
}

static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putchar('\\');
        putchar(*text);
    }
    putchar('"');
}

/* ---- the start ---- */

const char *judge_start_line(void)
{
    static char start[sizeof(line)];

    while (!take_line(false))
        if (!judge_read())
            fail("stdin: ended, expected a start line; the judge runs this program");
    if (!json_is(line, "msg", "start") || judge_number("protocol") != PROTOCOL)
        fail("stdin: expected a start line with protocol %d, got: %s", PROTOCOL, line);
    memcpy(start, line, sizeof(line));
    return start;
}

void judge_ready(const struct link_program *me)
{
    printf("{\"msg\": \"ready\", \"protocol\": %d, \"name\": ", PROTOCOL);
    print_string(me->name);
    printf(", \"tpm\": \"%s\", \"can\": \"%s\"}", me->tpm, me->can);
    end_line();
}

/* ---- requests ---- */

bool judge_ask(const char *format, ...)
{
    static unsigned last_request;
    va_list arguments;

    printf("{\"id\": %u, ", ++last_request);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    putchar('}');
    end_line();

    while (!take_line(true))
        if (!judge_read())
            exit(EXIT_SUCCESS); /* the judge is gone, and so are we */
    if (judge_number("id") != last_request)
        fail("stdin: expected the reply to request %u, got: %s", last_request, line);
    if (json_is(line, "msg", "done"))
        return true;
    fprintf(stderr, "stdin: request %u: %s\n", last_request, line);
    return false;
}

/* ---- orders ---- */

/* Reads the packet's hexadecimal digits. */
static bool read_packet(struct link_order *order)
{
    static const char digits[] = "0123456789abcdef0123456789ABCDEF";
    struct json_value hex;

    if (!json_find(line, "packet", &hex) || !hex.is_string || hex.length % 2 != 0)
        return false;
    order->length = hex.length / 2;
    for (size_t i = 0; i < order->length && i < LINK_PACKET_MAX; i++) {
        const char *high = memchr(digits, hex.text[2 * i], sizeof(digits) - 1);
        const char *low = memchr(digits, hex.text[2 * i + 1], sizeof(digits) - 1);

        if (high == NULL || low == NULL)
            return false;
        order->packet[i] = (uint8_t)((high - digits) % 16 << 4 | (low - digits) % 16);
    }
    return true;
}

/* Reads the order in line; returns what is wrong with it, or NULL. */
static const char *read_order(struct link_order *order)
{
    uint32_t locality = 0;
    struct json_value value;

    order->id = judge_number("id");
    if (json_is(line, "do", "cancel")) {
        order->action = LINK_CANCEL;
        return NULL;
    }
    if (json_is(line, "do", "close")) {
        order->action = LINK_CLOSE;
        return NULL;
    }
    if (json_is(line, "do", "reconnect")) {
        order->action = LINK_RECONNECT;
        return NULL;
    }
    if (!json_is(line, "do", "send"))
        return "this program does not know the order";
    order->action = LINK_SEND;
    if (json_find(line, "locality", &value) &&
        (!json_number(line, "locality", &locality) || locality > UINT8_MAX))
        return "the locality is not a number below 256";
    order->locality = (uint8_t)locality;
    return read_packet(order) ? NULL : "the packet is not hexadecimal digits in pairs";
}

unsigned judge_next_order(struct link_order *order)
{
    while (take_line(false)) {
        const char *wrong;

        /* A later version of the judge may say more; what is not known is not for us. */
        if (!json_is(line, "msg", "order"))
            continue;
        if (json_is(line, "do", "stop"))
            return LINK_STOPPED;
        wrong = order != NULL ? read_order(order) : "this program takes no orders";
        if (wrong == NULL)
            return LINK_ORDERED;
        link_report(judge_number("id"), LINK_REFUSED, wrong);
    }
    return 0;
}

void link_respond(unsigned id, const uint8_t *packet, size_t length)
{
    printf("{\"msg\": \"result\", \"id\": %u, \"is\": \"response\", \"packet\": \"", id);
    for (size_t i = 0; i < length; i++)
        printf("%02x", packet[i]);
    fputs("\"}", stdout);
    end_line();
}

void link_report(unsigned id, enum link_outcome outcome, const char *why)
{
    static const char *const names[] = {
        [LINK_CANCELLED] = "cancelled",
        [LINK_REFUSED] = "refused",
        [LINK_FAILED] = "failed",
        [LINK_TIMED_OUT] = "timed-out",
        [LINK_CLOSED] = "closed",
        [LINK_CONNECTED] = "connected",
    };

    printf("{\"msg\": \"result\", \"id\": %u, \"is\": \"%s\", \"why\": ", id, names[outcome]);
    print_string(why);
    putchar('}');
    end_line();
}
