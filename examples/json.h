/* SPDX-License-Identifier: MIT */
/* Reads flat JSON objects that stand on one line: no lists, none nested. */
#ifndef JSON_H
#define JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A value where it stands in the line: no final NUL, escapes untouched. */
struct json_value {
    const char *text;
    size_t length;
    bool is_string;
};

bool json_find(const char *line, const char *key, struct json_value *value);

/* Whether key is there, is a string, and is this word. */
bool json_is(const char *line, const char *key, const char *word);

/* Whether key is there and is a whole number of 32 bits; if so, the number. */
bool json_number(const char *line, const char *key, uint32_t *number);

#endif
