import { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import type { TokenMinter } from '@coursewright/platform/internal-token';
import type { Channel } from '@coursewright/platform/rpc-client';
import type { Catalog } from '../operations/ports.js';
import { optionsFor } from './call-options.js';

/** The catalog service behind content's port. */
export function createCatalogClient(channel: Channel, minter: TokenMinter): Catalog {
  const client = channel.client(CatalogServiceDefinition);
  return {
    async registerCourse(course, as) {
      await client.registerCourse(course, await optionsFor(minter, as));
    },
    async rolesOn(courseId, subject, as) {
      const access = await client.getAccess({ courseId, subject }, await optionsFor(minter, as));
      return access.exists && !access.deleted ? access.roles : [];
    },
    async isRegistered(courseId, as) {
      const { exists, deleted } = await client.getAccess({ courseId, subject: '' }, await optionsFor(minter, as));
      return exists || deleted;
    },
    async isDeleted(courseId, as) {
      return (await client.getAccess({ courseId, subject: '' }, await optionsFor(minter, as))).deleted;
    },
  };
}
