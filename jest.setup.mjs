// Jest runs each file in a realm of its own, so errors made by Node core fail `instanceof Error`. This mends it.
import { types } from 'node:util';

const ordinary = Function.prototype[Symbol.hasInstance];
Object.defineProperty(Error, Symbol.hasInstance, {
  configurable: true,
  value(value) {
    return ordinary.call(this, value) || (this === Error && types.isNativeError(value));
  },
});
