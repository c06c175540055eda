// Asks every shard thread the same question and hands the answers on together: for INFO, CLIENT
// LIST, metrics and whatever else concerns the whole node.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <vector>

#include "node/node_context.h"
#include "node/shard_thread.h"

namespace even {

// Calls ask(thread) on each thread while it holds its shard, then done(answers), in the order of
// the shards, by way of `post`, which takes it back to where the caller wants it. Callable from any
// thread.
template <typename Answer, typename Ask, typename Post, typename Done>
void gather(NodeContext& node, Ask ask, Post post, Done done) {
  struct Collection {
    Collection(std::size_t threads, Post post, Done done)
        : answers(threads), missing(threads), post(std::move(post)), done(std::move(done)) {}
    std::vector<Answer> answers;
    std::atomic<std::size_t> missing;
    Post post;
    Done done;
  };
  auto collection =
      std::make_shared<Collection>(node.threads.size(), std::move(post), std::move(done));
  for (const auto& thread : node.threads) {
    thread->post([collection, ask, &thread = *thread]() mutable {
      thread.lease().when_free([collection, ask, &thread]() mutable {
        collection->answers[thread.id()] = ask(thread);
        // The last one sees what all have written: acquire and release.
        if (collection->missing.fetch_sub(1) > 1) return;
        collection->post([collection] { collection->done(std::move(collection->answers)); });
      });
    });
  }
}

}  // namespace even
