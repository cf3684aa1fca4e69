import type { Channel, RpcClient } from '@coursewright/platform/rpc-client';
import { CatalogServiceDefinition } from '@coursewright/proto/coursewright/catalog/v1/catalog';
import { RequestServiceDefinition } from '@coursewright/proto/coursewright/common/v1/requests';
import { ContentServiceDefinition } from '@coursewright/proto/coursewright/content/v1/content';
import { ReviewServiceDefinition } from '@coursewright/proto/coursewright/review/v1/review';
import { VersioningServiceDefinition } from '@coursewright/proto/coursewright/versioning/v1/versioning';

/** The services whose transactions are the effects of writes. */
export type Owner = 'catalog' | 'content' | 'versioning';

/** The services that the gateway asks. */
export interface Peers {
  readonly catalog: RpcClient<typeof CatalogServiceDefinition>;
  readonly content: RpcClient<typeof ContentServiceDefinition>;
  readonly review: RpcClient<typeof ReviewServiceDefinition>;
  readonly versioning: RpcClient<typeof VersioningServiceDefinition>;
  /** What became of keyed writes, by the owner of their effect. */
  readonly requests: Readonly<Record<Owner, RpcClient<typeof RequestServiceDefinition>>>;
}

/** Typed clients on one channel a service. */
export function createPeers(channels: Readonly<Record<Owner | 'review', Channel>>): Peers {
  return {
    catalog: channels.catalog.client(CatalogServiceDefinition),
    content: channels.content.client(ContentServiceDefinition),
    review: channels.review.client(ReviewServiceDefinition),
    versioning: channels.versioning.client(VersioningServiceDefinition),
    requests: {
      catalog: channels.catalog.client(RequestServiceDefinition),
      content: channels.content.client(RequestServiceDefinition),
      versioning: channels.versioning.client(RequestServiceDefinition),
    },
  };
}
