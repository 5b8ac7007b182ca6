/* Who uses a card: three lists in three layouts, and three ways to count processes. */
#include "fake.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 64, NEWEST = 0 };

typedef struct { unsigned pid; unsigned long long memory; } ProcessV1;
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu_instance, compute_instance; } ProcessV2;
typedef struct { ProcessV2 plain; unsigned long long protected_memory; } ProcessOf535;
typedef struct { unsigned pid; unsigned long long time; unsigned sm, memory, encoder, decoder; } ProcessUse;

typedef struct { ProcessV2 rows[MOST]; unsigned count; } List;

/* Appends the programs of one place, as the regime shows them. */
static void collect(List *list, const char *key, int place) {
    char text[LINE], regime[LINE] = "host";
    if (!look_up(key, place, text)) return;
    look_up("pids", NOBODY, regime);
    for (char *rest, *one = strtok_r(text, ",", &rest); one && list->count < MOST; one = strtok_r(NULL, ",", &rest)) {
        const char *colon = strchr(one, ':'), *slash = strchr(one, '/');
        if (!colon) abort();
        unsigned pid = (unsigned)strtoul(one, NULL, 10);
        unsigned inner = slash ? (unsigned)strtoul(slash + 1, NULL, 10) : pid;
        unsigned long long memory = colon[1] == '-' ? UINT64_MAX : strtoull(colon + 1, NULL, 10);
        int slice = slice_of(place), host = strcmp(regime, "host") == 0;
        /* Outside of this namespace: hidden. */
        if (!host && !slash) continue;
        list->rows[list->count++] = (ProcessV2){
            .pid = host ? pid : inner,
            .memory = strcmp(regime, "namespace") == 0 ? 0 : memory,
            .gpu_instance = slice < 0 ? NO_INSTANCE : FIRST_GPU_INSTANCE + (unsigned)slice,
            .compute_instance = slice < 0 ? NO_INSTANCE : 0,
        };
    }
}

/* A card that is cut tells of all its slices. */
static void collect_all(List *list, const char *key, int place) {
    collect(list, key, place);
    if (slice_of(place) >= 0 || number("mig", place, 0) != 1) return;
    int slices = (int)number("slices", place, 0);
    for (int slice = 0; slice < slices; slice++) collect(list, key, place_of_slice(place, slice));
}

/* The two-call protocol: too little room is an error that says how much is needed. */
static int give_rows(const char *symbol, Handle handle, const char *key, unsigned *count, void *rows, size_t size) {
    List list = { .count = 0 };
    int code = enter_device(symbol, handle);
    if (code != SUCCESS) return code;
    if (size == NEWEST) size = (size_t)number("process_bytes", NOBODY, sizeof(ProcessV2));
    collect_all(&list, key, place_of(handle));
    unsigned room = *count;
    *count = list.count;
    if (list.count > room) return INSUFFICIENT_SIZE;
    for (unsigned at = 0; at < list.count; at++) {
        ProcessOf535 row = { .plain = list.rows[at] };
        memcpy((char *)rows + at * size, &row, size);
    }
    return SUCCESS;
}

#define LISTS(NAME, KEY) \
    int NAME(Handle handle, unsigned *count, ProcessV1 *rows) { \
        return give_rows(#NAME, handle, KEY, count, rows, sizeof *rows); \
    } \
    int NAME##_v2(Handle handle, unsigned *count, ProcessV2 *rows) { \
        return give_rows(#NAME "_v2", handle, KEY, count, rows, sizeof *rows); \
    } \
    int NAME##_v3(Handle handle, unsigned *count, void *rows) { \
        return give_rows(#NAME "_v3", handle, KEY, count, rows, NEWEST); \
    }

LISTS(nvmlDeviceGetComputeRunningProcesses, "compute")
LISTS(nvmlDeviceGetGraphicsRunningProcesses, "graphics")
LISTS(nvmlDeviceGetMPSComputeRunningProcesses, "mps")

/* Counts as the host does, in every regime. */
int nvmlDeviceGetProcessUtilization(Handle handle, ProcessUse *rows, unsigned *count, unsigned long long since) {
    char text[LINE];
    unsigned room = *count;
    int code = enter_device("nvmlDeviceGetProcessUtilization", handle);
    (void)since;
    *count = 0;
    if (code != SUCCESS || !look_up("compute", place_of(handle), text)) return code ? code : NOT_FOUND;
    for (char *rest, *one = strtok_r(text, ",", &rest); one; one = strtok_r(NULL, ",", &rest), ++*count) {
        if (*count < room) rows[*count] = (ProcessUse){ .pid = (unsigned)strtoul(one, NULL, 10), .time = 1, .sm = 5 };
    }
    return *count > room ? INSUFFICIENT_SIZE : SUCCESS;
}
