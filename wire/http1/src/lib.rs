//! HTTP/1.1 as bytes: requests are read, responses are written. Sans-IO: knows no socket, no clock and
//! no resource.
