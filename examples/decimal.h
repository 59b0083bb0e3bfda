/* SPDX-License-Identifier: MIT */
/* Plain decimal numbers, as xenstore nodes and JSON lines carry them. */
#ifndef DECIMAL_H
#define DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Digits only.  strtoul would also take "+7", " 7", "-7" and "7 apples".
 */
static inline bool parse_decimal(const char *text, size_t length, uint32_t *number)
{
    uint64_t value = 0;

    if (length == 0)
        return false;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint64_t)(text[i] - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *number = (uint32_t)value;
    return true;
}

#endif
