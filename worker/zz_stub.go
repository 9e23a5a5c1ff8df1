package worker

import (
	"github.com/onceish/onceish/group"
)

const breakerScope = "$breaker."

type groupBreaker struct{}

func (b *groupBreaker) follow([]group.Paused) {}
