// What the commands on positions share: words that are read, and replies.
#pragma once

#include <string_view>

#include "engine/context.h"
#include "engine/geo.h"

namespace even {

// These reply an error and return false on bad input.
bool read_geo_position(Context& context, std::string_view longitude, std::string_view latitude,
                       GeoPosition& out);
bool read_geo_unit(Context& context, std::string_view word, double& metres);

void reply_geo_distance(Context& context, double distance);
void reply_geo_position(Context& context, const GeoPosition& position);

}  // namespace even
