// Rows of topics: the entries of a partition's group by their index, and its batches by their last
// offset. They sort behind all other rows, and those of a partition and kind are neighbours. Its
// checkpoints, by their index, are among other rows, before those of groups.
// docs/formats/store.md has the bytes, docs/topics.md why.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "store/row_batch.h"

namespace even {

std::string topic_offset_row(PartitionId partition, std::uint64_t last_offset);
// Behind all of them.
std::string topic_offset_end(PartitionId partition);
std::string topic_entry_row(PartitionId partition, std::uint64_t index);
// The number at the end of such a row; 0 if it is none.
std::uint64_t topic_row_number(std::string_view row);

std::string checkpoint_row(PartitionId partition, std::uint64_t index);
// Before its checkpoints: up to where the partition has been compacted.
std::string clean_point_row(PartitionId partition);

// What the rows of one file of the store have in common, if it is one of a topic; else empty.
std::string_view topic_row_group(std::string_view row);

// Nobody reads any of them again.
void forget_topic(PartitionId partition, RowBatch& out);
// Nor of the entries up to this index, and of the batches that end before this offset.
void forget_below(PartitionId partition, std::uint64_t index, std::int64_t offset, RowBatch& out);
// They are of another life of this directory: none of those by offset is left. Of the entries,
// those that no pass puts anew stay, behind what is read. Nor is any checkpoint left.
void remove_topic(PartitionId partition, RowBatch& out);

}  // namespace even
