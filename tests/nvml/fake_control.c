/* A libnvidia-ml.so.1 whose answers are lines of the text file named by FAKE_NVML, read anew at each call.
 *
 *   devices N                  how many cards there are (1)
 *   generation N               handles of another generation are dead, as after a driver reload (0)
 *   version TEXT               of the library
 *   name P TEXT | uuid P TEXT  of a place: card I, or slice S of it as I.S; TEXT is raw bytes up to the end of the line
 *   total P BYTES | used P BYTES | reserved P BYTES | busy P PERCENT
 *   mig I 0 or 1               card I can be cut into slices, and is; without the line it cannot
 *   slices I N                 how many slices it has (0)
 *   compute P LIST             programs on a place, PID[/NAMESPACE PID]:BYTES with commas; BYTES may be -
 *   graphics P LIST | mps P LIST
 *   pids REGIME                host, namespace (memory 0, as drivers near 550 do) or translated (host)
 *   process_bytes N            what an entry of the newest process list takes: 24, or 32 as in 535.43 to 535.86
 *   return SYMBOL P CODE       what SYMBOL returns for a place, or for all calls when P is *
 *   latency SYMBOL MS          SYMBOL takes so long; ends early when the line goes away, so a long one is a hang
 *   calls PATH                 append a line with the symbol's name for each call
 *
 * Other numbers have their key beside their function in fake_readings.c. Without a line, a plain healthy card answers.
 * A symbol is taken out by build.py.
 */
#include "fake.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILE_BYTES = 65536 };

int init_count = 0;

/* The file as it was when this thread's call began. */
static _Thread_local char said[FILE_BYTES];

static void hear(void) {
    const char *path = getenv("FAKE_NVML");
    int file = path ? open(path, O_RDONLY) : -1;
    ssize_t length = file >= 0 ? read(file, said, sizeof said - 1) : 0;
    said[length > 0 ? length : 0] = 0;
    if (file >= 0) close(file);
}

/* Copies what stands behind `key` in the first line that starts with it; 0 when there is none. */
static int look_up_line(const char *key, char *value) {
    size_t length = strlen(key);
    for (const char *line = said; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        if (strncmp(line, key, length) != 0 || line[length] != ' ') continue;
        size_t size = strcspn(line, "\n") - length - 1;
        if (size >= LINE) abort();
        memcpy(value, line + length + 1, size);
        value[size] = 0;
        return 1;
    }
    return 0;
}

int look_up(const char *key, int place, char *value) {
    char full[LINE];
    if (place == NOBODY) return look_up_line(key, value);
    if (slice_of(place) < 0) snprintf(full, sizeof full, "%s %d", key, place);
    else snprintf(full, sizeof full, "%s %d.%d", key, card_of(place), slice_of(place));
    return look_up_line(full, value);
}

unsigned long long number(const char *key, int place, unsigned long long otherwise) {
    char value[LINE];
    return look_up(key, place, value) ? strtoull(value, NULL, 10) : otherwise;
}

int give_text(const char *key, int place, const char *otherwise, char *buffer, unsigned size) {
    char value[LINE];
    if (!look_up(key, place, value)) snprintf(value, sizeof value, otherwise, card_of(place), slice_of(place));
    if (strlen(value) >= size) return INSUFFICIENT_SIZE;
    strcpy(buffer, value);
    return SUCCESS;
}

static void count_call(const char *symbol) {
    char path[LINE], line[LINE];
    if (!look_up_line("calls", path)) return;
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int length = snprintf(line, sizeof line, "%s\n", symbol);
    if (file >= 0 && write(file, line, (size_t)length) < 0) abort();
    if (file >= 0) close(file);
}

static void take_time(const char *symbol) {
    char key[LINE];
    snprintf(key, sizeof key, "latency %s", symbol);
    for (unsigned long long waited = 0; waited < number(key, NOBODY, 0); waited += 5) {
        usleep(5000);
        hear();
    }
}

int enter(const char *symbol, int place) {
    char key[LINE];
    hear();
    count_call(symbol);
    take_time(symbol);
    snprintf(key, sizeof key, "return %s *", symbol);
    int code = (int)number(key, NOBODY, SUCCESS);
    if (code != SUCCESS || place == NOBODY) return code;
    snprintf(key, sizeof key, "return %s", symbol);
    return (int)number(key, place, SUCCESS);
}

int enter_initialized(const char *symbol, int place) {
    int code = enter(symbol, place);
    return code ? code : init_count ? SUCCESS : UNINITIALIZED;
}

int enter_device(const char *symbol, Handle handle) {
    int place = place_of(handle);
    int code = enter_initialized(symbol, place);
    return code ? code : handle == handle_of(place) ? SUCCESS : GPU_IS_LOST;
}
