#include "topic/event_topic.h"

#include <charconv>

namespace even::topic {

std::string event_topic_text(const EventTopic& topic) {
  std::string text(topic.name);
  if (topic.partitions == 0) return text;
  return text.append("/")
      .append(std::to_string(topic.partitions))
      .append("/")
      .append(std::to_string(topic.life));
}

EventTopic read_event_topic(std::string_view text) {
  const std::size_t first = text.find('/');
  const std::size_t second = first == std::string_view::npos ? first : text.find('/', first + 1);
  if (second == std::string_view::npos) return {text};
  EventTopic topic{text.substr(0, first)};
  const auto take = [](std::string_view digits, auto& number) {
    const auto [stop, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return error == std::errc() && stop == digits.data() + digits.size();
  };
  const bool read = take(text.substr(first + 1, second - first - 1), topic.partitions) &&
                    take(text.substr(second + 1), topic.life) && topic.partitions > 0;
  return read ? topic : EventTopic{text};
}

}  // namespace even::topic
