package consumer

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"strconv"

	"github.com/onceish/onceish/bus"
)

// WithEvent returns the letter with another event in the place of its own, which must be whole. The
// ID follows from that of l and from the event: the same change of the same letter has the same ID.
// The event keeps what identifies it, whatever e says: its ID, topic and source.
func (l *Letter) WithEvent(e bus.Event) Letter {
	edited := *l
	e.ID, e.Topic, e.Source = l.Event.ID, l.Event.Topic, l.Event.Source
	event := sha256.Sum256(packEvent(&e))
	sum := sha256.Sum256([]byte(strconv.Quote(l.ID) + hex.EncodeToString(event[:])))
	edited.ID, edited.Edited, edited.Event = "edit/"+hex.EncodeToString(sum[:16]), cmp.Or(l.Edited, l.ID), e
	return edited
}

// Events returns the letter as it is stored on a topic: one event, or parts that carry its event,
// which are stored before it. bus.ErrTooLarge is returned where the topic takes none so large.
func (l *Letter) Events(topic string, info *bus.TopicInfo) (parts []bus.Event, letter bus.Event, err error) {
	room := newLetterRoom(info)
	parts, letter = l.toEvents(topic, room)
	if !room.hasRoomFor(&letter) {
		err = fmt.Errorf("%w: letter %.128q on %q, which takes events of %d bytes", bus.ErrTooLarge, l.ID, topic, info.MaxBytes)
	}
	return parts, letter, err
}

// LetterText returns a text of a dead letter without reading the rest of it: its "Group", "Reason",
// "Error", "Edited" or "Parts", or the "Id" or "Type" of its event. ok is false if there is none
// that can be read.
func LetterText(e *bus.Event, name string) (text string, ok bool) {
	values := e.Headers[letterPrefix+name]
	if len(values) == 0 {
		return "", false
	}
	text, err := url.PathUnescape(values[0])
	return text, err == nil
}
