#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The parts of esp_xfrm in which CPUs get into each other's way: SAs flushed under
# traffic, both CPUs sending, asynchronous drivers, and migration of SAs that have
# packets in a queue.
# timeout: 900
# cpus: 2

exec "$(dirname "$0")/esp_xfrm.sh" managers cpus queue
