/* The program: everything else is in a shared library, whose constructor runs before the preloaded library's. */
int harness_main(int argc, char **argv, char **environment);
void harness_run_if(const char *mode);

static void before_constructors(void)
{
    harness_run_if("preinit");
}

/* musl runs no such functions. */
__attribute__((section(".preinit_array"), used)) static void (*preinit)(void) = before_constructors;

int main(int argc, char **argv, char **environment)
{
    return harness_main(argc, argv, environment);
}
