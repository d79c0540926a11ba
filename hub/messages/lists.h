/* hub/messages/lists.h: which messages stand under a word: all of an app, an owner's, a sender's, a
 * recipient's, those of a correlation id.
 *
 * The newest numbers of a list stand in its head row, with how many it has in all; what a head has
 * no room for is put away as a block. Heads of all lists lie side by side, so a batch that reaches
 * a thousand recipients touches a few dozen pages: with a row a number it was a page for each
 * recipient, a third of all that a hub under messages wrote.
 *
 * Messages end oldest first (send.c), so an end moves the list's floor and takes a block with its
 * last number; what lies below the floor is not listed.
 *
 * Rows     TABLE_MAIL_INDEX: list (1), app (4), hash of the word (8, none for all) -> head;
 *          the same with the list's capital and the block's last number (8) -> numbers.
 * Owns     nothing.     Threads  writes: the writer. Reads: any view.
 * Limits   a word is known by a hash of 64 bits; who must be sure compares the message.
 */
#ifndef WAGGLE_HUB_MESSAGES_LISTS_H
#define WAGGLE_HUB_MESSAGES_LISTS_H

#include "store/store.h"

enum message_list {
    MESSAGES_ALL = 'a',
    MESSAGES_CORRELATED = 'c', /* of those that have a correlation id */
    MESSAGES_OWNER = 'o',      /* who may see it besides those who see all */
    MESSAGES_RECIPIENT = 'r',
    MESSAGES_SENDER = 's',
};

/* Numbers mostly come in order; an older one is found its place. One that is there stays so. */
enum store_rc message_list_add(struct store_txn *txn, enum message_list list, uint32_t app,
                               struct slice word, uint64_t number);
/* The oldest of the list ends; one that has ended is no fault. */
enum store_rc message_list_drop(struct store_txn *txn, enum message_list list, uint32_t app,
                                struct slice word, uint64_t number);

bool message_list_has(struct store_view *view, enum message_list list, uint32_t app,
                      struct slice word, uint64_t number);
/* How many numbers it has, without looking at them. */
enum store_rc message_list_count(struct store_view *view, enum message_list list, uint32_t app,
                                 struct slice word, uint64_t *out);

/* Until visit returns false: the oldest after `from` first or, in reverse, `from` and what is older
 * (0: from the newest on). */
typedef bool message_visit(void *ctx, uint64_t number);
enum store_rc messages_each(struct store_view *view, enum message_list list, uint32_t app,
                            struct slice word, uint64_t from, bool reverse, message_visit *visit,
                            void *ctx);

#endif
