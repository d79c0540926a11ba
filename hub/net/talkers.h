/* hub/net/talkers.h: the connections that are in conversation, which are read ahead of the others.
 *
 * The loop's own poll hands out all sockets with news in the order in which the news came, and five
 * thousand that come or are cut at one moment stand before whoever asks next. Those who talk are
 * therefore watched apart, by an epoll of their own that can be asked at any time.
 *
 * Owns     the epoll; it borrows the connections, which leave before their socket is closed.
 * Threads  its I/O thread alone.
 * Limits   TALKERS_A_LOOK connections each time.
 */
#ifndef WAGGLE_HUB_NET_TALKERS_H
#define WAGGLE_HUB_NET_TALKERS_H

#include <stdbool.h>

enum { TALKERS_A_LOOK = 64 };

struct conn;

/* -1: no descriptor is left; nobody is read ahead then. */
int talkers_new(void);
/* fd is the connection's socket. */
bool talkers_add(int talkers, int fd, struct conn *c); /* false: it stays with the others */
void talkers_drop(int talkers, int fd);
void talkers_flow(int talkers, int fd, struct conn *c, bool on);
/* Those with news, at most TALKERS_A_LOOK; who was not reached is among the first next time. */
unsigned talkers_look(int talkers, struct conn *out[TALKERS_A_LOOK]);

#endif
