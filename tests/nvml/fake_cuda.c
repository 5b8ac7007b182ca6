/* A libcuda.so.1 with the few calls that the doctor makes; its answers are environment variables.
 *
 *   FAKE_CUDA_INIT CODE     what cuInit returns (0)
 *   FAKE_CUDA_VERSION N     13000 is CUDA 13.0 (13000)
 *   FAKE_CUDA_DEVICES N     how many there are (1)
 *   FAKE_CUDA_HANG          cuInit never returns
 *
 * Signatures: cuda.h.
 */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, INVALID_VALUE = 1, INTEGRATED = 18, MAJOR = 75, MINOR = 76 };

static int number(const char *name, int otherwise) {
    const char *text = getenv(name);
    return text ? atoi(text) : otherwise;
}

int cuDriverGetVersion(int *version) { *version = number("FAKE_CUDA_VERSION", 13000); return SUCCESS; }

int cuInit(unsigned flags) {
    (void)flags;
    while (getenv("FAKE_CUDA_HANG")) pause();
    return number("FAKE_CUDA_INIT", SUCCESS);
}

int cuGetErrorName(int code, const char **name) {
    if (code != SUCCESS && code != 802) return INVALID_VALUE;
    *name = code ? "CUDA_ERROR_SYSTEM_NOT_READY" : "CUDA_SUCCESS";
    return SUCCESS;
}

int cuDeviceGetCount(int *count) { *count = number("FAKE_CUDA_DEVICES", 1); return SUCCESS; }

int cuDeviceGetName(char *name, int length, int device) { snprintf(name, length, "NVIDIA Fake %d", device); return SUCCESS; }

int cuDeviceGetUuid_v2(char *uuid, int device) { memset(uuid, 16 + device, 16); return SUCCESS; }

int cuDeviceGetUuid(char *uuid, int device) { return cuDeviceGetUuid_v2(uuid, device); }

int cuDeviceTotalMem_v2(size_t *bytes, int device) { (void)device; *bytes = 24000000000u; return SUCCESS; }

int cuDeviceGetAttribute(int *value, int attribute, int device) {
    (void)device;
    switch (attribute) {
        case MAJOR: *value = 9; return SUCCESS;
        case MINOR: *value = 0; return SUCCESS;
        case INTEGRATED: *value = 0; return SUCCESS;
        default: return INVALID_VALUE;
    }
}
