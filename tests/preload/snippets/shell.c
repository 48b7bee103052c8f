/* system and popen: the shell is seen, and what it is given as its environment is the library's affair.
 *
 * needs: exec
 * events:
 *   spawn system path=/bin/sh inode=* child=0
 *   spawn popen path=/bin/sh inode=* child=0
 *   io fread bytes_read=* inode=@p
 *   io - final bytes_read=0 inode=@p
 *   spawn popen path=/bin/sh inode=*
 *   io fwrite bytes_written=6 inode=@q
 *   io - final inode=@q
 * process image ...:
 * process image ...:
 * process image ...:
 */
#include "harness.h"

TOPIC(shell)
{
    char text[256] = "";
    int status = system("echo from the shell; exit 3");

    say_status("system", status);
    SAY(system(NULL) != 0);
    FILE *from = popen("echo LD_PRELOAD is ${LD_PRELOAD-unset}; exit 4", "r");
    SAY(fread(text, 1, sizeof text - 1, from) != 0);
    say("%s", text);
    say_status("popen", pclose(from));
    FILE *to = popen("read line; echo got $line; exit 5", "w");
    SAY(fputs("input\n", to));
    say_status("popen", pclose(to));
}
