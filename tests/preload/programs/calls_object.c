/* Loads an object and calls what is in it. */
#include <dlfcn.h>

int main(int count, char **arguments)
{
    void *object = count > 1 ? dlopen(arguments[1], RTLD_NOW) : 0;
    int (*act)(void) = object ? (int (*)(void))dlsym(object, "act") : 0;

    return act ? act() : 9;
}
