/**
 * A running model. An {@link dev.gosset.llm.session.Engine} is one thread that owns a {@link dev.gosset.llm.device.Batch} of
 * sequences and steps it as long as there are any: everybody else asks it for a {@link dev.gosset.llm.session.Session} and
 * reads tokens there. So requests of many threads share the reading of the weights, each can be cancelled within a step, and a
 * model that is closed lets the step in progress end and fails what is left, with a reason. Who gets which tokens does not depend on who else
 * runs.
 */
package dev.gosset.llm.session;
