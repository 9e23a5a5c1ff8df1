// Package deploy has nothing but tests: they check the files beside it, by which workers are
// shipped, with the libraries of the tools that read them. It is a module of its own, so that
// whoever imports Onceish does not get Prometheus, Compose, BuildKit and Grafana into the graph of
// his modules.
//
//	docker/      the image
//	compose/     a group of workers with all that it needs, on one machine
//	systemd/     a unit
//	kubernetes/  workers, their scrape configuration and their autoscaler
//	grafana/     a dashboard, which internal/dashboard makes
//	prometheus/  alerts
package deploy
