/* Numbers of a card. A slice has memory of its own, and no more. */
#include "fake.h"

#include <string.h>

enum { MEMORY_V2 = 0x02000028, TEMPERATURE_V1 = 0x0100000C };

typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version, sensor; int temperature; } Temperature;
typedef struct { char legacy[16]; unsigned domain, bus, device, identity, subsystem; char name[32]; } Pci;

static MemoryV2 memory_of(int place) {
    MemoryV2 memory = { .version = MEMORY_V2 };
    memory.total = number("total", place, slice_of(place) < 0 ? 24000000000ULL : 5100000000ULL);
    memory.used = number("used", place, 300000000ULL);
    memory.reserved = number("reserved", place, slice_of(place) < 0 ? 500000000ULL : 0);
    memory.free = memory.total - memory.used - memory.reserved;
    return memory;
}

int nvmlDeviceGetMemoryInfo(Handle handle, Memory *memory) {
    int code = enter_device("nvmlDeviceGetMemoryInfo", handle);
    MemoryV2 all = memory_of(place_of(handle));
    if (code == SUCCESS) *memory = (Memory){ all.total, all.free, all.used + all.reserved };
    return code;
}

int nvmlDeviceGetMemoryInfo_v2(Handle handle, MemoryV2 *memory) {
    int code = enter_device("nvmlDeviceGetMemoryInfo_v2", handle);
    if (code == SUCCESS && memory->version != MEMORY_V2) code = STRUCT_VERSION;
    if (code == SUCCESS) *memory = memory_of(place_of(handle));
    return code;
}

int nvmlDeviceGetUtilizationRates(Handle handle, Utilization *rates) {
    int code = enter_device("nvmlDeviceGetUtilizationRates", handle), place = place_of(handle);
    if (code == SUCCESS && (slice_of(place) >= 0 || number("mig", place, 0) == 1)) code = NOT_SUPPORTED;
    if (code == SUCCESS) rates->gpu = rates->memory = (unsigned)number("busy", place, 0);
    return code;
}

static int of_card(const char *symbol, Handle handle) {
    int code = enter_device(symbol, handle);
    return code ? code : slice_of(place_of(handle)) < 0 ? SUCCESS : INVALID_ARGUMENT;
}

static int give(const char *symbol, Handle handle, const char *key, unsigned long long otherwise, unsigned *value) {
    int code = of_card(symbol, handle);
    if (code == SUCCESS) *value = (unsigned)number(key, place_of(handle), otherwise);
    return code;
}

static int give_long(
    const char *symbol, Handle handle, const char *key, unsigned long long otherwise, unsigned long long *value
) {
    int code = of_card(symbol, handle);
    if (code == SUCCESS) *value = number(key, place_of(handle), otherwise);
    return code;
}

#define NUMBER(SYMBOL, KEY, OTHERWISE) \
    int SYMBOL(Handle handle, unsigned *value) { return give(#SYMBOL, handle, KEY, OTHERWISE, value); }
#define LONG_NUMBER(SYMBOL, KEY, OTHERWISE) \
    int SYMBOL(Handle handle, unsigned long long *value) { return give_long(#SYMBOL, handle, KEY, OTHERWISE, value); }

NUMBER(nvmlDeviceGetPowerUsage, "power", 34500)                 /* mW */
NUMBER(nvmlDeviceGetEnforcedPowerLimit, "power_limit", 72000)   /* mW */
NUMBER(nvmlDeviceGetFanSpeed, "fan", 30)                        /* per cent */
NUMBER(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_generation", 4)
NUMBER(nvmlDeviceGetCurrPcieLinkWidth, "pcie_width", 16)
LONG_NUMBER(nvmlDeviceGetTotalEnergyConsumption, "energy", 5000000)  /* mJ */
LONG_NUMBER(nvmlDeviceGetCurrentClocksEventReasons, "throttle", 1)   /* bits; 1 is idle */
LONG_NUMBER(nvmlDeviceGetCurrentClocksThrottleReasons, "throttle", 1)

int nvmlDeviceGetTemperature(Handle handle, unsigned sensor, unsigned *temperature) {
    (void)sensor;
    return give("nvmlDeviceGetTemperature", handle, "temperature", 40, temperature);
}

int nvmlDeviceGetTemperatureV(Handle handle, Temperature *temperature) {
    unsigned celsius;
    int code = give("nvmlDeviceGetTemperatureV", handle, "temperature", 40, &celsius);
    if (code == SUCCESS && temperature->version != TEMPERATURE_V1) code = STRUCT_VERSION;
    if (code == SUCCESS) temperature->temperature = (int)celsius;
    return code;
}

/* MHz; kinds: 0 graphics, 1 multiprocessors, 2 memory. */
int nvmlDeviceGetClockInfo(Handle handle, unsigned kind, unsigned *clock) {
    if (kind == 2) return give("nvmlDeviceGetClockInfo", handle, "memory_clock", 6251, clock);
    return give("nvmlDeviceGetClockInfo", handle, "graphics_clock", 1500, clock);
}

/* Kinds: 0 corrected, 1 not; counters: 0 since the driver was loaded, 1 ever. */
int nvmlDeviceGetTotalEccErrors(Handle handle, unsigned kind, unsigned counter, unsigned long long *count) {
    const char *keys[] = { "ecc_corrected", "ecc_uncorrected" };
    if (kind > 1 || counter > 1) return INVALID_ARGUMENT;
    return give_long("nvmlDeviceGetTotalEccErrors", handle, keys[kind], 0, count);
}

int nvmlDeviceGetRemappedRows(
    Handle handle, unsigned *corrected, unsigned *uncorrected, unsigned *pending, unsigned *failed
) {
    int code = of_card("nvmlDeviceGetRemappedRows", handle), place = place_of(handle);
    if (code != SUCCESS) return code;
    *corrected = (unsigned)number("rows_corrected", place, 0);
    *uncorrected = (unsigned)number("rows_uncorrected", place, 0);
    *pending = (unsigned)number("needs_reset", place, 0);
    *failed = 0;
    return SUCCESS;
}

/* KB/s; counters: 0 sent, 1 received. */
int nvmlDeviceGetPcieThroughput(Handle handle, unsigned counter, unsigned *rate) {
    if (counter > 1) return INVALID_ARGUMENT;
    return give("nvmlDeviceGetPcieThroughput", handle, counter ? "pcie_received" : "pcie_sent", 0, rate);
}

/* What other programs ask for, beside which ours is measured. */
NUMBER(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_generation", 4)
NUMBER(nvmlDeviceGetMaxPcieLinkWidth, "pcie_width", 16)
NUMBER(nvmlDeviceGetPowerManagementLimit, "power_limit", 72000)
NUMBER(nvmlDeviceGetPersistenceMode, "persistence", 1)
NUMBER(nvmlDeviceGetPerformanceState, "performance_state", 0)
NUMBER(nvmlDeviceGetDisplayActive, "display", 0)
NUMBER(nvmlDeviceGetDisplayMode, "display", 0)
NUMBER(nvmlDeviceGetComputeMode, "compute_mode", 0)

int nvmlDeviceGetMaxClockInfo(Handle handle, unsigned kind, unsigned *clock) {
    return give("nvmlDeviceGetMaxClockInfo", handle, kind == 2 ? "memory_clock" : "graphics_clock", 6251, clock);
}

static int give_sampled(const char *symbol, Handle handle, unsigned *percent, unsigned *period) {
    *period = 1000000;
    return give(symbol, handle, "codec", 0, percent);
}

int nvmlDeviceGetEncoderUtilization(Handle handle, unsigned *percent, unsigned *period) {
    return give_sampled("nvmlDeviceGetEncoderUtilization", handle, percent, period);
}

int nvmlDeviceGetDecoderUtilization(Handle handle, unsigned *percent, unsigned *period) {
    return give_sampled("nvmlDeviceGetDecoderUtilization", handle, percent, period);
}

int nvmlDeviceGetDriverModel(Handle handle, unsigned *current, unsigned *pending) {
    (void)current, (void)pending;
    int code = enter_device("nvmlDeviceGetDriverModel", handle);
    return code ? code : NOT_SUPPORTED;
}

int nvmlDeviceGetCudaComputeCapability(Handle handle, int *major, int *minor) {
    int code = enter_device("nvmlDeviceGetCudaComputeCapability", handle);
    if (code == SUCCESS) *major = 8, *minor = 9;
    return code;
}

int nvmlDeviceGetNvLinkVersion(Handle handle, unsigned link, unsigned *version) {
    (void)link, (void)version;
    int code = enter_device("nvmlDeviceGetNvLinkVersion", handle);
    return code ? code : NOT_SUPPORTED;
}

int nvmlDeviceGetDriverModel_v2(Handle handle, unsigned *current, unsigned *pending) {
    return nvmlDeviceGetDriverModel(handle, current, pending);
}

int nvmlDeviceGetPciInfo_v3(Handle handle, Pci *pci) {
    int code = enter_device("nvmlDeviceGetPciInfo_v3", handle);
    if (code != SUCCESS) return code;
    memset(pci, 0, sizeof *pci);
    pci->bus = (unsigned)card_of(place_of(handle)) + 1;
    return give_text("bus", card_of(place_of(handle)), "00000000:%02x:00.0", pci->name, sizeof pci->name);
}
