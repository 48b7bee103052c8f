/* A vfork child copies a file by itself: `vforks IN [nested]`, where nested leaves it to a child of the child. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

static void copy(const char *path)
{
    char text[64];
    int from = open(path, O_RDONLY), to = open("out", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ssize_t size = read(from, text, sizeof text);

    _exit(write(to, text, (size_t)size) != size);
}

int main(int argc, char **argv)
{
    int status;
    pid_t child = vfork();

    if (!child) {
        close(open("seen", O_WRONLY | O_CREAT, 0600));
        if (argc > 2) {
            child = vfork();
            if (child)
                _exit(0);
        }
        copy(argv[1]);
    }
    waitpid(child, &status, 0);
    return status != 0;
}
