/* Users and groups: libc reads the files itself, glibc through streams of its own, which before 2.34 its module opens by fopen.
 *
 * needs: root
 * events:
 *   [glibc>=2.34] io fread path=/etc/passwd bytes_read=68 internal inode=@passwd
 *   [glibc<2.34] open fopen path=/etc/passwd fd=* read mode=0o666 inode=@passwd
 *   [glibc<2.34] io fread bytes_read=68 inode=@passwd
 *   [musl] consult getpwent path=/etc/passwd inode=@passwd
 *   [glibc>=2.34] io fclose final internal inode=@passwd
 *   [glibc<2.34] io fclose final inode=@passwd
 *   [glibc>=2.34] io fread path=/etc/group bytes_read=14 internal inode=@group
 *   [glibc<2.34] open fopen path=/etc/group fd=* read mode=0o666 inode=@group
 *   [glibc<2.34] io fread bytes_read=14 inode=@group
 *   [musl] consult getgrent path=/etc/group inode=@group
 *   [glibc>=2.34] io fclose final internal inode=@group
 *   [glibc<2.34] io fclose final inode=@group
 *   [glibc>=2.34] io fread path=/etc/shadow bytes_read=14 internal inode=@shadow
 *   [glibc<2.34] open fopen path=/etc/shadow fd=* read mode=0o666 inode=@shadow
 *   [glibc<2.34] io fread bytes_read=14 inode=@shadow
 *   [musl] consult getspnam path=/etc/shadow inode=@shadow
 *   [glibc>=2.34] io fread path=/etc/shadow bytes_read=14 internal inode=@shadow
 *   [glibc<2.34] open fopen path=/etc/shadow fd=* read mode=0o666 inode=@shadow
 *   [glibc<2.34] io fread bytes_read=14 inode=@shadow
 *   [glibc>=2.34] io fclose final internal inode=@shadow
 *   [glibc<2.34] io fclose final inode=@shadow
 *   [glibc] io fread path=/etc/shells bytes_read=8 internal inode=@shells
 *   [musl] consult getusershell path=/etc/shells inode=@shells
 *   [glibc] io fclose final internal inode=@shells
 *   [glibc>=2.34] io fread path=/etc/passwd bytes_read=68 internal inode=@passwd
 *   [glibc<2.34] open fopen path=/etc/passwd fd=* read mode=0o666 inode=@passwd
 *   [glibc<2.34] io fread bytes_read=68 inode=@passwd
 *   lookup getpwnam database=passwd question=two answer=21 found
 *   [glibc>=2.34] io fread path=/etc/group bytes_read=14 internal inode=@group
 *   [glibc<2.34] open fopen path=/etc/group fd=* read mode=0o666 inode=@group
 *   [glibc<2.34] io fread bytes_read=14 inode=@group
 *   lookup getgrgid database=group question=12 answer=ones found
 *   [glibc>=2.34] io fread path=/etc/group bytes_read=14 internal inode=@group
 *   [glibc<2.34] open fopen path=/etc/group fd=* read mode=0o666 inode=@group
 *   [glibc<2.34] io fread bytes_read=14 inode=@group
 *   [glibc>=2.34] io fclose final internal inode=@group
 *   [glibc<2.34] io fclose final inode=@group
 *   lookup getgrgid database=group question=13
 */
#include "harness.h"

#include <grp.h>
#include <pwd.h>
#include <shadow.h>

TOPIC(users)
{
    replace_folder("/etc");
    make_file("/etc/passwd", "one:x:11:12:One:/home/one:/bin/sh\ntwo:x:21:22:Two:/home/two:/bin/sh\n");
    make_file("/etc/group", "ones:x:12:one\n");
    make_file("/etc/shadow", "one:*:1::::::\n");
    make_file("/etc/shells", "/bin/sh\n");
    struct passwd *user = getpwent();
    say("%s\n", user ? user->pw_name : "none");
    user = getpwent();
    say("%s\n", user ? user->pw_name : "none");
    SAY(getpwent() == NULL);
    endpwent();
    struct group *group = getgrent();
    say("%s\n", group ? group->gr_name : "none");
    SAY(getgrent() == NULL);
    endgrent();
    SAY(getspnam("one") != NULL);
    SAY(getspnam("three") == NULL);
    say("%s\n", getusershell());
    SAY(getusershell() == NULL);
    endusershell();
    user = getpwnam("two");
    say("%d\n", user ? (int)user->pw_uid : -1);
    group = getgrgid(12);
    say("%s\n", group ? group->gr_name : "none");
    SAY(getgrgid(13) == NULL);
}
