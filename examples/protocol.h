/* SPDX-License-Identifier: MIT */
/*
 * The shared page of the Xen vTPM protocol, version 2, and the header that
 * every TPM packet starts with.  Knows nothing of how the page is reached.
 *
 * The peer can write to the page at any time, whatever the protocol says, so
 * nothing here reads a byte of it twice: look at private copies only.
 */
#ifndef PROTOCOL_H
#define PROTOCOL_H

#include <stddef.h>
#include <stdint.h>

#define VTPM_PAGE_SIZE 4096 /* whatever the CPU's page size is */

/* Where the header's fields lie.  Integers are little-endian. */
enum vtpm_offset {
    VTPM_LENGTH = 0, /* 4 bytes: length of the request or response */
    VTPM_STATE = 4,
    VTPM_LOCALITY = 5,
    VTPM_PAD = 6,
    VTPM_NR_EXTRA_PAGES = 7, /* grant references of 4 bytes that follow */
    VTPM_HEADER_SIZE = 8,
};

/* The frontend writes SUBMIT and CANCEL, the backend IDLE and FINISH. */
enum vtpm_state {
    VTPM_IDLE = 0,   /* no request, or one given up without a response */
    VTPM_SUBMIT = 1, /* the request is in the page */
    VTPM_FINISH = 2, /* the response is in the page */
    VTPM_CANCEL = 3, /* the frontend asks to give the request up */
};

/* The fields that describe a packet, as they were when sampled. */
struct vtpm_header {
    uint32_t length;
    uint8_t locality;
    uint8_t nr_extra_pages;
};

/*
 * The state decides who owns the rest of the page.  Loading it comes before
 * any look at the rest; storing it comes after every store to the rest.
 * The peer can put any number there.
 */
uint8_t vtpm_load_state(const uint8_t *page);
void vtpm_store_state(uint8_t *page, enum vtpm_state state);

/* Reads each byte of the page's header once. */
struct vtpm_header vtpm_sample_header(const uint8_t *page);

/* Where the packet starts, and how much of it fits into the page. */
size_t vtpm_packet_offset(uint8_t nr_extra_pages);
size_t vtpm_capacity(uint8_t nr_extra_pages);

/*
 * Copy a packet out of the page, or into it together with its length.  The
 * caller has checked length against vtpm_capacity(nr_extra_pages).
 */
void vtpm_read_packet(const uint8_t *page, uint8_t nr_extra_pages, uint8_t *packet, size_t length);
void vtpm_write_packet(uint8_t *page, uint8_t nr_extra_pages, const uint8_t *packet, size_t length);

void vtpm_store_locality(uint8_t *page, uint8_t locality);

/* The header of every TPM packet.  Integers are big-endian. */
#define TPM_HEADER_SIZE 10

struct tpm_header {
    uint16_t tag;
    uint32_t size; /* of the whole packet, this header included */
    uint32_t code; /* ordinal of a command, return code of a response */
};

struct tpm_header tpm_read_header(const uint8_t *packet);
void tpm_write_header(uint8_t *packet, const struct tpm_header *header);

uint16_t load_be16(const uint8_t *at);
void store_be16(uint8_t *at, uint16_t value);

#endif
