/* SPDX-License-Identifier: MIT */
#include "json.h"

#include <string.h>

#include "decimal.h"

static const char *skip_space(const char *at)
{
    return at + strspn(at, " \t\r\n");
}

/* Reads the string whose opening quote is at; returns what follows, or NULL. */
static const char *read_string(const char *at, struct json_value *value)
{
    if (*at++ != '"')
        return NULL;
    value->text = at;
    while (*at != '"') {
        if (*at == '\\')
            at++;
        if (*at == '\0')
            return NULL;
        at++;
    }
    value->length = (size_t)(at - value->text);
    value->is_string = true;
    return at + 1;
}

static const char *read_value(const char *at, struct json_value *value)
{
    if (*at == '"')
        return read_string(at, value);
    value->text = at;
    value->length = strcspn(at, ",} \t\r\n");
    value->is_string = false;
    return value->length > 0 ? at + value->length : NULL;
}

bool json_find(const char *line, const char *key, struct json_value *value)
{
    const char *at = skip_space(line);

    if (*at++ != '{')
        return false;
    for (;;) {
        struct json_value name;

        at = read_string(skip_space(at), &name);
        if (at == NULL)
            return false;
        at = skip_space(at);
        if (*at++ != ':')
            return false;
        at = read_value(skip_space(at), value);
        if (at == NULL)
            return false;
        if (name.length == strlen(key) && memcmp(name.text, key, name.length) == 0)
            return true;
        at = skip_space(at);
        if (*at++ != ',')
            return false;
    }
}

bool json_is(const char *line, const char *key, const char *word)
{
    struct json_value value;

    return json_find(line, key, &value) && value.is_string &&
           value.length == strlen(word) && memcmp(value.text, word, value.length) == 0;
}

bool json_number(const char *line, const char *key, uint32_t *number)
{
    struct json_value value;

    return json_find(line, key, &value) && !value.is_string &&
           parse_decimal(value.text, value.length, number);
}
