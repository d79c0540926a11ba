/* tests/load/noise.h: how late this machine is, whoever makes it so: a thread that asks to be woken
 * every millisecond and measures by how much that is missed.
 *
 * Threads  noise_start and noise_stop: one; what lies between is a thread of its own.
 * Units    milliseconds.
 */
#ifndef WAGGLE_LOAD_NOISE_H
#define WAGGLE_LOAD_NOISE_H

void noise_start(void);
double noise_stop(void); /* p99 since the start */

#endif
