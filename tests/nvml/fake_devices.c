/* The library itself, its cards, and the slices of them. */
#include "fake.h"

#include <stdio.h>
#include <stdlib.h>

enum { HANDLE_BASE = 0x1000 };

typedef struct {
    unsigned multiprocessors, copy_engines, decoders, encoders, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_mib;
} Attributes;

Handle handle_of(int place) {
    return (Handle)(uintptr_t)(HANDLE_BASE + number("generation", NOBODY, 0) * PER_GENERATION + (unsigned)place);
}

int place_of(Handle handle) { return (int)(((uintptr_t)handle - HANDLE_BASE) % PER_GENERATION); }

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    /* The library stays loaded when a test is over; the tests after it have no driver again. */
    if (getenv("FAKE_NVML") == NULL) return LIBRARY_NOT_FOUND;
    int code = enter("nvmlInitWithFlags", NOBODY);
    if (code == SUCCESS) init_count++;
    return code;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    int code = enter_initialized("nvmlShutdown", NOBODY);
    if (code == SUCCESS) init_count--;
    return code;
}

const char *nvmlErrorString(int code) {
    static char text[32];
    snprintf(text, sizeof text, "fake error %d", code);
    return text;
}

int nvmlSystemGetNVMLVersion(char *buffer, unsigned size) {
    int code = enter("nvmlSystemGetNVMLVersion", NOBODY);
    return code ? code : give_text("version", NOBODY, "13.580.65.06", buffer, size);
}

int nvmlSystemGetDriverVersion(char *buffer, unsigned size) {
    int code = enter("nvmlSystemGetDriverVersion", NOBODY);
    return code ? code : give_text("driver", NOBODY, "580.65.06", buffer, size);
}

int nvmlSystemGetCudaDriverVersion(int *version) {
    int code = enter("nvmlSystemGetCudaDriverVersion", NOBODY);
    if (code == SUCCESS) *version = 13000;
    return code;
}

int nvmlSystemGetCudaDriverVersion_v2(int *version) { return nvmlSystemGetCudaDriverVersion(version); }

int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = enter_initialized("nvmlDeviceGetCount_v2", NOBODY);
    if (code == SUCCESS) *count = (unsigned)number("devices", NOBODY, 1);
    return code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle *handle) {
    int code = enter_initialized("nvmlDeviceGetHandleByIndex_v2", (int)index);
    if (code == SUCCESS && index >= number("devices", NOBODY, 1)) code = INVALID_ARGUMENT;
    if (code == SUCCESS) *handle = handle_of((int)index);
    return code;
}

int nvmlDeviceGetIndex(Handle handle, unsigned *index) {
    int code = enter_device("nvmlDeviceGetIndex", handle);
    if (code == SUCCESS) *index = (unsigned)card_of(place_of(handle));
    return code;
}

int nvmlDeviceGetName(Handle handle, char *buffer, unsigned size) {
    int code = enter_device("nvmlDeviceGetName", handle), place = place_of(handle);
    const char *plain = slice_of(place) < 0 ? "NVIDIA Fake" : "NVIDIA Fake MIG 1g.5gb";
    return code ? code : give_text("name", place, plain, buffer, size);
}

int nvmlDeviceGetUUID(Handle handle, char *buffer, unsigned size) {
    int code = enter_device("nvmlDeviceGetUUID", handle), place = place_of(handle);
    const char *plain = slice_of(place) < 0 ? "GPU-fa4e0000-0000-4000-8000-%012d" : "MIG-fa4e0000-0000-5000-%04d-%012d";
    return code ? code : give_text("uuid", place, plain, buffer, size);
}

int nvmlDeviceGetMigMode(Handle handle, unsigned *current, unsigned *pending) {
    int code = enter_device("nvmlDeviceGetMigMode", handle);
    unsigned mode = (unsigned)number("mig", place_of(handle), 2);
    if (code == SUCCESS && mode == 2) code = NOT_SUPPORTED;
    if (code == SUCCESS) *current = *pending = mode;
    return code;
}

int nvmlDeviceIsMigDeviceHandle(Handle handle, unsigned *is_slice) {
    int code = enter_device("nvmlDeviceIsMigDeviceHandle", handle);
    if (code == SUCCESS) *is_slice = slice_of(place_of(handle)) >= 0;
    return code;
}

int nvmlDeviceGetMaxMigDeviceCount(Handle handle, unsigned *count) {
    int code = enter_device("nvmlDeviceGetMaxMigDeviceCount", handle);
    if (code == SUCCESS) *count = number("mig", place_of(handle), 2) < 2 ? MOST_SLICES : 0;
    return code;
}

int nvmlDeviceGetMigDeviceHandleByIndex(Handle handle, unsigned index, Handle *slice) {
    int card = place_of(handle), place = place_of_slice(card, (int)index);
    int code = enter_initialized("nvmlDeviceGetMigDeviceHandleByIndex", place);
    if (code == SUCCESS && handle != handle_of(card)) code = GPU_IS_LOST;
    if (code == SUCCESS && (number("mig", card, 2) != 1 || index >= MOST_SLICES)) code = INVALID_ARGUMENT;
    if (code == SUCCESS && index >= number("slices", card, 0)) code = NOT_FOUND;
    if (code == SUCCESS) *slice = handle_of(place);
    return code;
}

static int of_slice(const char *symbol, Handle handle, unsigned value, unsigned *given) {
    int code = enter_device(symbol, handle);
    if (code == SUCCESS && slice_of(place_of(handle)) < 0) code = INVALID_ARGUMENT;
    if (code == SUCCESS) *given = value;
    return code;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(Handle slice, Handle *handle) {
    unsigned card = (unsigned)card_of(place_of(slice)), given;
    int code = of_slice("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", slice, card, &given);
    if (code == SUCCESS) *handle = handle_of((int)given);
    return code;
}

int nvmlDeviceGetGpuInstanceId(Handle slice, unsigned *identity) {
    unsigned instance = FIRST_GPU_INSTANCE + (unsigned)slice_of(place_of(slice));
    return of_slice("nvmlDeviceGetGpuInstanceId", slice, instance, identity);
}

int nvmlDeviceGetComputeInstanceId(Handle slice, unsigned *identity) {
    return of_slice("nvmlDeviceGetComputeInstanceId", slice, 0, identity);
}

int nvmlDeviceGetAttributes_v2(Handle slice, Attributes *attributes) {
    unsigned slices = (unsigned)number("gpu_slices", place_of(slice), 1), given;
    int code = of_slice("nvmlDeviceGetAttributes_v2", slice, slices, &given);
    if (code != SUCCESS) return code;
    *attributes = (Attributes){
        .multiprocessors = 14 * given, .copy_engines = 1, .gpu_slices = given,
        .compute_slices = (unsigned)number("compute_slices", place_of(slice), given),
        .memory_mib = number("attributes_mib", place_of(slice), 4864 * (unsigned long long)given),
    };
    return SUCCESS;
}
