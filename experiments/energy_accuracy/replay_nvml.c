/* A libnvidia-ml.so.1 of one GPU that says what it is told, so that the real binding and the real
 * meter run in simulated time: the experiment sets the two numbers and the result before a read. */
#include <stdio.h>

enum { OK = 0, NOT_SUPPORTED = 3 };

unsigned long long replay_millijoules;
unsigned replay_milliwatts;
int replay_result;

static char gpu;

int nvmlInitWithFlags(unsigned flags) { return (void)flags, OK; }
int nvmlShutdown(void) { return OK; }
const char *nvmlErrorString(int result) { return result == OK ? "Success" : "replayed failure"; }

int nvmlDeviceGetCount_v2(unsigned *count) {
    *count = 1;
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **handle) {
    (void)index;
    *handle = &gpu;
    return OK;
}

int nvmlDeviceGetUUID(void *handle, char *uuid, unsigned length) {
    (void)handle;
    snprintf(uuid, length, "GPU-0a000000-0000-4000-8000-000000000000");
    return OK;
}

int nvmlDeviceGetTotalEnergyConsumption(void *handle, unsigned long long *millijoules) {
    (void)handle;
    *millijoules = replay_millijoules;
    return replay_result;
}

int nvmlDeviceGetPowerUsage(void *handle, unsigned *milliwatts) {
    (void)handle;
    *milliwatts = replay_milliwatts;
    return replay_result;
}

int nvmlDeviceGetEnforcedPowerLimit(void *handle, unsigned *milliwatts) {
    (void)handle;
    *milliwatts = 700000;
    return OK;
}

int nvmlDeviceGetMigMode(void *handle, unsigned *current, unsigned *pending) {
    (void)handle, (void)current, (void)pending;
    return NOT_SUPPORTED;
}
