/* SPDX-License-Identifier: MIT */
#include "protocol.h"

#include <string.h>

uint8_t vtpm_load_state(const uint8_t *page)
{
    return __atomic_load_n(page + VTPM_STATE, __ATOMIC_ACQUIRE);
}

void vtpm_store_state(uint8_t *page, enum vtpm_state state)
{
    __atomic_store_n(page + VTPM_STATE, (uint8_t)state, __ATOMIC_RELEASE);
}

struct vtpm_header vtpm_sample_header(const uint8_t *page)
{
    /* Volatile: the compiler may neither repeat these loads nor leave them for later. */
    const volatile uint8_t *shared = page;
    uint8_t copy[VTPM_HEADER_SIZE];

    for (size_t i = 0; i < sizeof(copy); i++)
        copy[i] = shared[i];
    return (struct vtpm_header){
        .length = (uint32_t)copy[VTPM_LENGTH] | (uint32_t)copy[VTPM_LENGTH + 1] << 8 |
                  (uint32_t)copy[VTPM_LENGTH + 2] << 16 | (uint32_t)copy[VTPM_LENGTH + 3] << 24,
        .locality = copy[VTPM_LOCALITY],
        .nr_extra_pages = copy[VTPM_NR_EXTRA_PAGES],
    };
}

size_t vtpm_packet_offset(uint8_t nr_extra_pages)
{
    return VTPM_HEADER_SIZE + 4 * (size_t)nr_extra_pages;
}

size_t vtpm_capacity(uint8_t nr_extra_pages)
{
    /* The longest grant list ends at 1028, so this is never negative. */
    return VTPM_PAGE_SIZE - vtpm_packet_offset(nr_extra_pages);
}

void vtpm_read_packet(const uint8_t *page, uint8_t nr_extra_pages, uint8_t *packet, size_t length)
{
    memcpy(packet, page + vtpm_packet_offset(nr_extra_pages), length);
    /* Without this the compiler may drop the copy and read the page again. */
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void vtpm_write_packet(uint8_t *page, uint8_t nr_extra_pages, const uint8_t *packet, size_t length)
{
    memcpy(page + vtpm_packet_offset(nr_extra_pages), packet, length);
    for (size_t i = 0; i < 4; i++)
        page[VTPM_LENGTH + i] = (uint8_t)(length >> (8 * i));
}

void vtpm_store_locality(uint8_t *page, uint8_t locality)
{
    page[VTPM_LOCALITY] = locality;
}

uint16_t load_be16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

void store_be16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint32_t load_be32(const uint8_t *at)
{
    return (uint32_t)load_be16(at) << 16 | load_be16(at + 2);
}

static void store_be32(uint8_t *at, uint32_t value)
{
    store_be16(at, (uint16_t)(value >> 16));
    store_be16(at + 2, (uint16_t)value);
}

struct tpm_header tpm_read_header(const uint8_t *packet)
{
    return (struct tpm_header){
        .tag = load_be16(packet),
        .size = load_be32(packet + 2),
        .code = load_be32(packet + 6),
    };
}

void tpm_write_header(uint8_t *packet, const struct tpm_header *header)
{
    store_be16(packet, header->tag);
    store_be32(packet + 2, header->size);
    store_be32(packet + 6, header->code);
}
