/* Lets itself write nowhere but in one folder, by Landlock, and executes a program: `landlocked FOLDER PROGRAM`. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* linux/landlock.h, which old headers do not have */
enum { CREATE_RULESET = 444, ADD_RULE = 445, RESTRICT_SELF = 446, PATH_BENEATH = 1 };
#define WRITE_FILE (UINT64_C(1) << 1)

int main(int argc, char **argv)
{
    uint64_t handled = WRITE_FILE;
    int rules = (int)syscall(CREATE_RULESET, &handled, sizeof handled, 0);
    struct {
        uint64_t allowed;
        int32_t folder;
    } __attribute__((packed)) rule = {WRITE_FILE, open(argv[1], O_PATH | O_CLOEXEC)};

    if (argc < 3 || rules < 0)
        return 77;
    if (syscall(ADD_RULE, rules, PATH_BENEATH, &rule, 0) || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || syscall(RESTRICT_SELF, rules, 0))
        return 78;
    execv(argv[2], argv + 2);
    return 79;
}
