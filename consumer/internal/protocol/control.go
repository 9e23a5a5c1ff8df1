package protocol

import "github.com/onceish/onceish/bus"

// TakeControl takes the control headers off a delivery's event, so that no handler passes them on,
// and reports whether they say that the copy is for another group. An error says that they were
// written for another event, and are not obeyed.
func TakeControl(d *bus.Delivery, group string) (foreign bool, err error) {
	control, err := d.Event.Control()
	d.Event = d.Event.WithoutControl()
	return control.Group != "" && control.Group != group, err
}
