/* A stand-in for libnvidia-ml.so.1 with known watts. The environment is read at every
 * nvmlInit; seconds count from then. Faults strike GPU 0 only.
 *
 *   FAKE_NVML_GPUS             number of GPUs (1); GPU i is GPU-<i>a000000-0000-...
 *   FAKE_NVML_WATTS            power of GPU 0 (100); GPU i draws (i + 1) times that
 *   FAKE_NVML_STEP_AFTER_S     the power of GPU 0 becomes
 *   FAKE_NVML_STEP_WATTS       ... this
 *   FAKE_NVML_PIDS             processes that compute on GPU 0, for example 12,34; unset: not told
 *   FAKE_NVML_COOL=1           temperatures are not told; else 50 degrees and 0.1 per watt
 *   FAKE_NVML_LIMIT_W          enforced power limit (300); the one set by hand is 250
 *   FAKE_NVML_TICK_S           time between counter updates (0: continuous)
 *   FAKE_NVML_NO_COUNTER=1     no energy counter
 *   FAKE_NVML_NO_INSTANT=1     no instantaneous power: only the average, which reads half as much again
 *   FAKE_NVML_NO_POWER=1       no power reading at all
 *   FAKE_NVML_MIG=1            GPU 0 is in MIG mode
 *   FAKE_NVML_BACK_AFTER_S     the counter starts again from 0
 *   FAKE_NVML_FREEZE_AFTER_S   the counter stands still
 *   FAKE_NVML_LOST_AFTER_S     the GPU falls off the bus
 *   FAKE_NVML_LOST_IF          ... once this file exists
 *
 * Compiled with -DOLD_DRIVER it lacks the entry points that older drivers lack.
 */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3 };
enum { INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
enum { MAX_GPUS = 8, POWER_INSTANT = 186, UNSIGNED_INT = 1 };

typedef struct {
    unsigned field, scope;
    int64_t timestamp, latency_us;
    unsigned type;
    int result;
    union { double d; unsigned u; unsigned long long ull; } value;
} field_t;

typedef struct {
    unsigned pid;
    unsigned long long memory;
    unsigned gpu_instance, compute_instance;
} process_t;

typedef struct {
    unsigned version;
    int sensor, degrees;
} temperature_t;

static struct {
    unsigned gpus;
    double watts, step_s, step_watts, tick_s, back_s, freeze_s, lost_s, started;
    int no_counter, no_instant, no_power, mig, cool;
    char lost_if[512];
    const char *pids;
} fake;
static char handles[MAX_GPUS];
static int users;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static double number(const char *name, double otherwise) {
    const char *text = getenv(name);
    return text && *text ? atof(text) : otherwise;
}

static unsigned index_of(void *handle) { return (unsigned)((char *)handle - handles); }

static double watts_at(void *handle, double seconds) {
    if (index_of(handle) == 0 && seconds >= fake.step_s) return fake.step_watts;
    return fake.watts * (index_of(handle) + 1);
}

static double watts_of(void *handle) { return watts_at(handle, now() - fake.started); }

static int state(void *handle) {
    if (users == 0) return UNINITIALIZED;
    int gone = now() - fake.started >= fake.lost_s ||
               (*fake.lost_if && access(fake.lost_if, F_OK) == 0);
    return index_of(handle) == 0 && gone ? GPU_IS_LOST : OK;
}

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    fake.gpus = (unsigned)number("FAKE_NVML_GPUS", 1);
    fake.watts = number("FAKE_NVML_WATTS", 100);
    fake.step_s = number("FAKE_NVML_STEP_AFTER_S", INFINITY);
    fake.step_watts = number("FAKE_NVML_STEP_WATTS", 0);
    fake.cool = (int)number("FAKE_NVML_COOL", 0);
    fake.pids = getenv("FAKE_NVML_PIDS");
    fake.tick_s = number("FAKE_NVML_TICK_S", 0);
    fake.back_s = number("FAKE_NVML_BACK_AFTER_S", INFINITY);
    fake.freeze_s = number("FAKE_NVML_FREEZE_AFTER_S", INFINITY);
    fake.lost_s = number("FAKE_NVML_LOST_AFTER_S", INFINITY);
    fake.no_counter = (int)number("FAKE_NVML_NO_COUNTER", 0);
    fake.no_instant = (int)number("FAKE_NVML_NO_INSTANT", 0);
    fake.no_power = (int)number("FAKE_NVML_NO_POWER", 0);
    fake.mig = (int)number("FAKE_NVML_MIG", 0);
    const char *path = getenv("FAKE_NVML_LOST_IF");
    snprintf(fake.lost_if, sizeof fake.lost_if, "%s", path ? path : "");
    fake.started = now();
    users++;
    return fake.gpus > MAX_GPUS ? INVALID_ARGUMENT : OK;
}

int nvmlShutdown(void) {
    if (users == 0) return UNINITIALIZED;
    users--;
    return OK;
}

const char *nvmlErrorString(int result) {
    switch (result) {
    case UNINITIALIZED: return "Uninitialized";
    case NOT_SUPPORTED: return "Not Supported";
    case GPU_IS_LOST: return "GPU is lost";
    default: return "Unknown Error";
    }
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = fake.gpus;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    if (index >= fake.gpus) return INVALID_ARGUMENT;
    *handle = &handles[index];
    return OK;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *milliwatts) {
    *milliwatts = (unsigned)(1000 * number("FAKE_NVML_LIMIT_W", 300));
    return state(handle);
}
#endif

int nvmlDeviceGetPowerManagementLimit(void *handle, unsigned *milliwatts) {
    *milliwatts = 250000;
    return state(handle);
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
    snprintf(uuid, length, "GPU-%ua000000-0000-4000-8000-000000000000", index_of(handle));
    return OK;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    if (state(handle) != OK) return state(handle);
    if (fake.no_power) return NOT_SUPPORTED;
    *milliwatts = (unsigned)(watts_of(handle) * 1.5 * 1000);
    return OK;
}

int nvmlDeviceGetTemperature(void *handle, int sensor, unsigned *degrees) {
    if (state(handle) != OK) return state(handle);
    if (fake.cool || sensor != 0) return NOT_SUPPORTED;
    *degrees = (unsigned)(50 + watts_of(handle) / 10);
    return OK;
}

int nvmlDeviceGetComputeRunningProcesses_v2(void *handle, unsigned *count, process_t *processes) {
    if (state(handle) != OK) return state(handle);
    if (fake.pids == NULL) return NOT_SUPPORTED;
    unsigned found = 0;
    const char *text = index_of(handle) == 0 ? fake.pids : "";
    for (char *end; *text; text = *end ? end + 1 : end, found++) {
        unsigned pid = (unsigned)strtoul(text, &end, 10);
        if (found < *count) processes[found].pid = pid;
    }
    int fits = found <= *count;
    *count = found;
    return fits ? OK : INSUFFICIENT_SIZE;
}

#ifndef OLD_DRIVER
int nvmlDeviceGetTemperatureV(void *handle, temperature_t *temperature) {
    unsigned degrees = 0;
    int result = nvmlDeviceGetTemperature(handle, temperature->sensor, &degrees);
    temperature->degrees = (int)degrees;
    return result;
}

int nvmlDeviceGetComputeRunningProcesses_v3(void *handle, unsigned *count, process_t *processes) {
    return nvmlDeviceGetComputeRunningProcesses_v2(handle, count, processes);
}

static double joules_at(void *handle, double seconds) {
    double before = fmin(seconds, fake.step_s);
    return before * watts_at(handle, 0) + (seconds - before) * watts_at(handle, seconds);
}

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    if (state(handle) != OK) return state(handle);
    if (fake.no_counter) return NOT_SUPPORTED;
    double seconds = now() - fake.started, before = 1e5;
    if (index_of(handle) == 0 && seconds >= fake.freeze_s) seconds = fake.freeze_s;
    if (index_of(handle) == 0 && seconds >= fake.back_s) before = -joules_at(handle, fake.back_s);
    if (fake.tick_s > 0) seconds = floor(seconds / fake.tick_s) * fake.tick_s;
    *millijoules = (unsigned long long)(fmax(0, before + joules_at(handle, seconds)) * 1000);
    return OK;
}

int nvmlDeviceGetFieldValues(void *handle, int count, field_t *fields) {
    if (state(handle) != OK) return state(handle);
    for (int i = 0; i < count; i++) {
        int known = fields[i].field == POWER_INSTANT && !fake.no_instant && !fake.no_power;
        fields[i].result = known ? OK : NOT_SUPPORTED;
        fields[i].type = UNSIGNED_INT;
        fields[i].value.u = (unsigned)(watts_of(handle) * 1000);
    }
    return OK;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    if (index_of(handle) != 0 || !fake.mig) return NOT_SUPPORTED;
    *current = *pending = 1;
    return OK;
}
#endif
