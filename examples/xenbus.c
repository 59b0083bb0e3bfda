/* SPDX-License-Identifier: MIT */
#include "xenbus.h"

#include <stdio.h>
#include <string.h>

#include "decimal.h"

/* Room for the longest value that means anything to us, and then some. */
#define VALUE_MAX 64

struct xenbus_dir xenbus_dir(enum link_role role, const struct link_place *place)
{
    struct xenbus_dir dir;

    if (role == LINK_FRONTEND)
        snprintf(dir.path, sizeof(dir.path), "/local/domain/%u/device/vtpm/%u",
                 place->frontend, place->device);
    else
        snprintf(dir.path, sizeof(dir.path), "/local/domain/%u/backend/vtpm/%u/%u",
                 place->backend, place->frontend, place->device);
    return dir;
}

/* The absolute path of a node. */
struct path {
    char text[XENBUS_PATH_MAX + 32];
};

static struct path path_of(const struct xenbus_dir *dir, const char *node)
{
    struct path path;

    snprintf(path.text, sizeof(path.text), "%s/%s", dir->path, node);
    return path;
}

/* Reads a node into value; returns its length, or -1. */
static int read_node(const struct xenbus_dir *dir, const char *node, char value[VALUE_MAX])
{
    struct path path = path_of(dir, node);

    return link_read(path.text, value, VALUE_MAX);
}

static void write_node(const struct xenbus_dir *dir, const char *node, const char *value)
{
    struct path path = path_of(dir, node);

    link_write(path.text, value);
}

bool xenbus_read_number(const struct xenbus_dir *dir, const char *node, uint32_t *number)
{
    char found[VALUE_MAX];
    int length = read_node(dir, node, found);

    return length >= 0 && parse_decimal(found, (size_t)length, number);
}

uint32_t xenbus_read_state(const struct xenbus_dir *dir)
{
    char found[VALUE_MAX];
    int length = read_node(dir, "state", found);
    uint32_t state;

    if (length < 0)
        return XENBUS_UNKNOWN;
    if (!parse_decimal(found, (size_t)length, &state) || state > XENBUS_RECONFIGURED)
        return XENBUS_NONSENSE;
    return state;
}

void xenbus_write_state(const struct xenbus_dir *dir, enum xenbus_state state)
{
    char digits[12];

    snprintf(digits, sizeof(digits), "%u", (unsigned)state);
    write_node(dir, "state", digits);
}

static void watch_node(const struct xenbus_dir *dir, const char *node)
{
    struct path path = path_of(dir, node);

    link_watch(path.text);
}

void xenbus_watch_state(const struct xenbus_dir *dir)
{
    watch_node(dir, "state");
}

bool xenbus_is_offline(const struct xenbus_dir *dir)
{
    uint32_t online;

    return xenbus_read_number(dir, "online", &online) && online == 0;
}

void xenbus_watch_online(const struct xenbus_dir *dir)
{
    watch_node(dir, "online");
}

void xenbus_write_feature(const struct xenbus_dir *dir)
{
    write_node(dir, XENBUS_FEATURE, XENBUS_FEATURE_VALUE);
}

bool xenbus_has_feature(const struct xenbus_dir *dir)
{
    char found[VALUE_MAX];
    int length = read_node(dir, XENBUS_FEATURE, found);

    /* Exactly: the length too, for a value may have NULs in it. */
    return length == (int)strlen(XENBUS_FEATURE_VALUE) && strcmp(found, XENBUS_FEATURE_VALUE) == 0;
}
