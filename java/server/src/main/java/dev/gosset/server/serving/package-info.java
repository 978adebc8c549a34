/**
 * What all endpoints share: {@link dev.gosset.server.serving.ServedModel}, {@link dev.gosset.server.serving.RequestFields} that refuse what
 * they do not know, {@link dev.gosset.server.serving.Generation}, which is a request in the engine, and {@link
 * dev.gosset.server.serving.Delivery}, which brings what it says to the client in the form of a protocol.
 */
package dev.gosset.server.serving;
