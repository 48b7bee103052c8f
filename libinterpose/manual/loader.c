/* dlclose(3): the loader's list loses entries meanwhile. */
#include "loads.h"
#include "wrapper.h"

IP_EXPORT int dlclose(void *handle);
IP_EXPORT int dlclose(void *handle)
{
    int (*real)(void *) = (int (*)(void *))IP_REAL(dlclose);

    if (!real) {
        ip_absent();
        return -1;
    }
    int recording = ip_recording();
    if (recording)
        ip_loads_pause();
    int result = real(handle);
    if (recording)
        ip_loads_resume();
    return result;
}
