/** A model over HTTP: {@link dev.gosset.server.GossetServer} with the table of its routes, and who may ask. */
package dev.gosset.server;
