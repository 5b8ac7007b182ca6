/* What the parts of the fake driver library share. Layouts: nvml.h, x86-64. */
#ifndef FAKE_H
#define FAKE_H

#include <stdint.h>

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, INSUFFICIENT_SIZE = 7,
    LIBRARY_NOT_FOUND = 12, GPU_IS_LOST = 15, STRUCT_VERSION = 25
};
enum { NOBODY = -1, LINE = 4096, MOST_CARDS = 64, MOST_SLICES = 7, PER_GENERATION = 1024 };
enum { FIRST_GPU_INSTANCE = 7, NO_INSTANCE = 0xFFFFFFFF };

typedef void *Handle;

/* A place is a card, or a slice of one: I or I.S in the control file. */
static inline int place_of_slice(int card, int slice) { return card + MOST_CARDS * (slice + 1); }
static inline int card_of(int place) { return place % MOST_CARDS; }
static inline int slice_of(int place) { return place / MOST_CARDS - 1; }

/* Control file: what stands behind KEY PLACE, or behind KEY alone when the place is NOBODY. */
int look_up(const char *key, int place, char *value);
unsigned long long number(const char *key, int place, unsigned long long otherwise);
int give_text(const char *key, int place, const char *otherwise, char *buffer, unsigned size);

/* What every call does first: be counted, take its time, fail if so ordered. */
int enter(const char *symbol, int place);
int enter_initialized(const char *symbol, int place);
int enter_device(const char *symbol, Handle handle);

Handle handle_of(int place);
int place_of(Handle handle);
extern int init_count;

#endif
