/* A libnvidia-ml.so.1 whose answers are lines of the text file named by FAKE_NVML, read anew at each call.
 *
 *   devices N                  how many there are (1)
 *   generation N               handles of another generation are dead, as after a driver reload (0)
 *   version TEXT               of the library
 *   name I TEXT | uuid I TEXT  of device I; TEXT is raw bytes up to the end of the line
 *   total I BYTES | used I BYTES | reserved I BYTES | busy I PERCENT
 *   return SYMBOL I CODE       what SYMBOL returns for device I, or for all calls when I is *
 *   latency SYMBOL MS          SYMBOL takes so long; ends early when the line goes away
 *   calls PATH                 append a line with the symbol's name for each call
 *
 * Without a line, a plain healthy device answers. To add a query: its struct and one function below.
 * Layouts: nvml.h, x86-64.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15, STRUCT_VERSION = 25 };
enum { NO_DEVICE = -1, LINE = 512, MEMORY_V2 = 0x02000028, HANDLE_BASE = 0x1000, PER_GENERATION = 64 };

typedef void *Handle;
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } MemoryV2;
typedef struct { unsigned gpu, memory; } Utilization;

static int init_count = 0;

/* Copies what stands behind `key` in the first line that starts with it; 0 when there is none. */
static int look_up(const char *key, char *value) {
    const char *path = getenv("FAKE_NVML");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[LINE];
    size_t length = strlen(key);
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            strcpy(value, line + length + 1);
            found = 1;
        }
    }
    if (file) fclose(file);
    return found;
}

static unsigned long long look_up_number(const char *key, unsigned long long otherwise) {
    char value[LINE];
    return look_up(key, value) ? strtoull(value, NULL, 10) : otherwise;
}

static unsigned long long of_device(const char *key, int device, unsigned long long otherwise) {
    char full[LINE];
    snprintf(full, sizeof full, "%s %d", key, device);
    return look_up_number(full, otherwise);
}

static void count_call(const char *symbol) {
    char path[LINE], line[LINE];
    if (!look_up("calls", path)) return;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int length = snprintf(line, sizeof line, "%s\n", symbol);
    if (file >= 0 && write(file, line, (size_t)length) < 0) abort();
    if (file >= 0) close(file);
}

static void take_time(const char *symbol) {
    char key[LINE];
    snprintf(key, sizeof key, "latency %s", symbol);
    for (unsigned long long waited = 0; waited < look_up_number(key, 0); waited += 5) usleep(5000);
}

/* What every call does first: be counted, take its time, fail if so ordered. */
static int enter(const char *symbol, int device) {
    char key[LINE];
    count_call(symbol);
    take_time(symbol);
    snprintf(key, sizeof key, "return %s *", symbol);
    int code = (int)look_up_number(key, SUCCESS);
    if (code == SUCCESS && device != NO_DEVICE) {
        snprintf(key, sizeof key, "return %s", symbol);
        code = (int)of_device(key, device, SUCCESS);
    }
    return code;
}

static int enter_initialized(const char *symbol, int device) {
    int code = enter(symbol, device);
    return code ? code : init_count ? SUCCESS : UNINITIALIZED;
}

static Handle handle_of(unsigned index) {
    return (Handle)(uintptr_t)(HANDLE_BASE + look_up_number("generation", 0) * PER_GENERATION + index);
}

static int index_of(Handle handle) { return (int)(((uintptr_t)handle - HANDLE_BASE) % PER_GENERATION); }

static int enter_device(const char *symbol, Handle handle) {
    int index = index_of(handle);
    int code = enter_initialized(symbol, index);
    return code ? code : handle == handle_of((unsigned)index) ? SUCCESS : GPU_IS_LOST;
}

static int give_text(const char *key, int device, const char *otherwise, char *buffer, unsigned size) {
    char full[LINE], value[LINE];
    snprintf(full, sizeof full, device == NO_DEVICE ? "%s" : "%s %d", key, device);
    if (!look_up(full, value)) snprintf(value, sizeof value, otherwise, device);
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, value);
    return SUCCESS;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    /* The library stays loaded when a test is over; the tests after it have no driver again. */
    if (getenv("FAKE_NVML") == NULL) return 12;
    int code = enter("nvmlInitWithFlags", NO_DEVICE);
    if (code == SUCCESS) init_count++;
    return code;
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void) {
    int code = enter_initialized("nvmlShutdown", NO_DEVICE);
    if (code == SUCCESS) init_count--;
    return code;
}

const char *nvmlErrorString(int code) {
    static char text[32];
    snprintf(text, sizeof text, "fake error %d", code);
    return text;
}

int nvmlSystemGetNVMLVersion(char *buffer, unsigned size) {
    int code = enter("nvmlSystemGetNVMLVersion", NO_DEVICE);
    return code ? code : give_text("version", NO_DEVICE, "13.580.65.06", buffer, size);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    int code = enter_initialized("nvmlDeviceGetCount_v2", NO_DEVICE);
    if (code == SUCCESS) *count = (unsigned)look_up_number("devices", 1);
    return code;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, Handle *handle) {
    int code = enter_initialized("nvmlDeviceGetHandleByIndex_v2", (int)index);
    if (code == SUCCESS && index >= look_up_number("devices", 1)) code = INVALID_ARGUMENT;
    if (code == SUCCESS) *handle = handle_of(index);
    return code;
}

int nvmlDeviceGetName(Handle handle, char *buffer, unsigned size) {
    int code = enter_device("nvmlDeviceGetName", handle);
    return code ? code : give_text("name", index_of(handle), "NVIDIA Fake", buffer, size);
}

int nvmlDeviceGetUUID(Handle handle, char *buffer, unsigned size) {
    int code = enter_device("nvmlDeviceGetUUID", handle);
    return code ? code : give_text("uuid", index_of(handle), "GPU-fa4e0000-0000-4000-8000-%012d", buffer, size);
}

static MemoryV2 memory_of(int device) {
    MemoryV2 memory = { .version = MEMORY_V2 };
    memory.total = of_device("total", device, 24000000000ULL);
    memory.used = of_device("used", device, 300000000ULL);
    memory.reserved = of_device("reserved", device, 500000000ULL);
    memory.free = memory.total - memory.used - memory.reserved;
    return memory;
}

int nvmlDeviceGetMemoryInfo(Handle handle, Memory *memory) {
    int code = enter_device("nvmlDeviceGetMemoryInfo", handle);
    MemoryV2 all = memory_of(index_of(handle));
    if (code == SUCCESS) *memory = (Memory){ all.total, all.free, all.used + all.reserved };
    return code;
}

int nvmlDeviceGetMemoryInfo_v2(Handle handle, MemoryV2 *memory) {
    int code = enter_device("nvmlDeviceGetMemoryInfo_v2", handle);
    if (code == SUCCESS && memory->version != MEMORY_V2) code = STRUCT_VERSION;
    if (code == SUCCESS) *memory = memory_of(index_of(handle));
    return code;
}

int nvmlDeviceGetUtilizationRates(Handle handle, Utilization *rates) {
    int code = enter_device("nvmlDeviceGetUtilizationRates", handle);
    if (code == SUCCESS) rates->gpu = rates->memory = (unsigned)of_device("busy", index_of(handle), 0);
    return code;
}
