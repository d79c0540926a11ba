/* hub/api/words.h: the words that parameters take, as the domain's own tables have them, for
 * telling them to who sent another.
 *
 * Where rest-contract.md says the sentence of a refusal, word for word, the list is its advice;
 * elsewhere it is in the sentence.
 */
#ifndef WAGGLE_HUB_API_WORDS_H
#define WAGGLE_HUB_API_WORDS_H

#include "hub/api/operation.h"

struct call_words {
    const char *(*nth)(unsigned i);
    unsigned n;
};
extern const struct call_words words_agent_type, words_agent_status, words_task_priority,
    words_message_type, words_message_priority, words_balance_strategy, words_work_strategy,
    words_tally_rule, words_tally_tie, words_task_failure; /* the last: why a task has failed */

/* "Use one of: a, b." */
void words_advise(struct json_out *o, const struct call_words *words);
/* 422 for that field: 'x' is not a valid `what`: use a, b or c. */
enum hub_rc call_fail_word(struct call *call, const char *field, const char *what,
                           struct slice word, const struct call_words *words);

#endif
